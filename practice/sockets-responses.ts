import { PracticeError } from './errors.ts'
import { requireField, textField } from './json.ts'
import type { JsonObject } from './json.ts'
import { startResponse } from './response-run.ts'
import { readEvents } from './sockets-session.ts'
import type { SocketSession } from './sockets-session.ts'

/** The Responses API by WebSocket: each `response.create` streams its events, marked with the stream it asked for. */
export function openResponses(session: SocketSession): void {
  const { socket, signal, chunkDelayMs } = session
  const send = (event: JsonObject) => socket.send(JSON.stringify(event))

  function sendError(error: unknown, lane: JsonObject): void {
    if (signal.aborted) return
    const { status, message, details } = error instanceof PracticeError ? error : new PracticeError(500, String(error))
    const { type = 'invalid_request_error', code = null, param = null } = details
    send({ type: 'error', status, error: { type, code, message, param }, ...lane })
  }

  async function create({ type: _type, stream_id: streamId, ...body }: JsonObject): Promise<void> {
    const lane = typeof streamId === 'string' ? { stream_id: streamId } : {}
    try {
      requireField(body, 'input')
      const run = startResponse(body, chunkDelayMs, signal)
      for await (const event of run.follow(0, signal)) send({ ...event, ...lane })
    } catch (error) {
      sendError(error, lane)
    }
  }

  readEvents(session, (event) => {
    if (event === undefined) return sendError(new PracticeError(400, 'The message is no event.'), {})
    if (textField(event, 'type') === 'response.create') return void create(event)
    return sendError(new PracticeError(400, `Unknown event type: '${String(event['type'])}'.`, { param: 'type' }), {})
  })
}
