import type { ServerEvent, SessionResource } from 'openai/resources/live/live'
import { randomId, unixTime } from './ids.ts'
import { isJsonObject, textField } from './json.ts'
import { readEvents } from './sockets-session.ts'
import type { SocketSession } from './sockets-session.ts'

const START_MODEL = 'gpt-live-1'

/** Live sessions by WebSocket, as far as beginning, changing and ending them: nobody listens. */
export function openLive(session: SocketSession): void {
  const { socket } = session
  const startMs = performance.now()
  let resource: SessionResource | undefined

  const send = (event: ServerEvent) => socket.send(JSON.stringify(event))
  const eventId = () => randomId('event_')

  function sendError(code: string, message: string): void {
    send({ type: 'error', event_id: eventId(), error: { type: 'invalid_request_error', code, message } })
  }

  readEvents(session, (event) => {
    const type = textField(event ?? {}, 'type')
    const wanted = isJsonObject(event?.['session']) ? event['session'] : {}
    if (type === 'session.start') {
      const expires = unixTime() + 3_600
      resource = { model: START_MODEL, ...wanted, id: randomId('live_'), status: 'active', expires_at: expires }
      return send({ type: 'session.started', event_id: eventId(), session: resource })
    }
    if (resource === undefined) return sendError('session_not_started', 'The first event must be session.start.')
    if (type === 'session.update') {
      resource = { ...resource, ...wanted }
      return send({ type: 'session.updated', event_id: eventId(), session: resource })
    }
    if (type === 'session.input_audio.append') return undefined
    if (type !== 'session.close') return sendError('invalid_value', `Invalid value: '${type}'.`)
    const usage = { seconds: (performance.now() - startMs) / 1000 }
    send({ type: 'session.closed', event_id: eventId(), reason: 'close_requested', session: resource, usage })
    return socket.close(1000)
  })
}
