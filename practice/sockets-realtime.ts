import type {
  ConversationItem,
  RealtimeResponse,
  RealtimeServerEvent,
  RealtimeSessionCreateRequest,
} from 'openai/resources/realtime/realtime'
import { pause } from './events.ts'
import { randomId } from './ids.ts'
import { isJsonObject, textField } from './json.ts'
import type { JsonObject } from './json.ts'
import { readEvents } from './sockets-session.ts'
import type { SocketSession } from './sockets-session.ts'
import { composeReply, countTokens, lastUserText, pauseOf, splitWords } from './text.ts'

/** The Realtime API by WebSocket: a session, its conversation, and replies in words. Sound is taken and not heard. */
export function openRealtime(session: SocketSession): void {
  const { socket, query, signal, chunkDelayMs } = session
  const items: JsonObject[] = []
  const model = query.get('model') ?? 'gpt-realtime'
  let settings: RealtimeSessionCreateRequest = { type: 'realtime', model, output_modalities: ['audio'] }
  let running: AbortController | undefined
  const identity = { object: 'realtime.session', id: randomId('sess_') }

  const send = (event: RealtimeServerEvent) => socket.send(JSON.stringify(event))
  const eventId = () => randomId('event_')

  function sendError(message: string, cause: JsonObject | undefined, code = 'invalid_value'): void {
    const ofEvent = textField(cause ?? {}, 'event_id') ?? null
    const error = { type: 'invalid_request_error', code, message, param: null, event_id: ofEvent }
    send({ type: 'error', event_id: eventId(), error })
  }

  function describe(): RealtimeSessionCreateRequest {
    return { ...settings, ...identity }
  }

  function addItem(item: JsonObject): void {
    const previous = textField(items.at(-1) ?? {}, 'id') ?? null
    const added = { id: randomId('item_'), ...item, object: 'realtime.item', status: 'completed' }
    items.push(added)
    // The client's item comes back as it is.
    const known = added as unknown as ConversationItem
    send({ type: 'conversation.item.added', event_id: eventId(), previous_item_id: previous, item: known })
    send({ type: 'conversation.item.done', event_id: eventId(), previous_item_id: previous, item: known })
  }

  async function respond(): Promise<void> {
    running = new AbortController()
    const stop = AbortSignal.any([running.signal, signal])
    const text = composeReply(model, lastUserText(items))
    const response: RealtimeResponse = {
      object: 'realtime.response',
      id: randomId('resp_'),
      output_modalities: ['text'],
    }
    const place = { response_id: response.id ?? '', item_id: randomId('item_'), output_index: 0, content_index: 0 }
    const item = messageOf(place.item_id, [])
    send({
      type: 'response.created',
      event_id: eventId(),
      response: { ...response, status: 'in_progress', output: [] },
    })
    send({ type: 'response.output_item.added', event_id: eventId(), item, ...place })
    const part = { type: 'text', text: '' } as const
    send({ type: 'response.content_part.added', event_id: eventId(), part, ...place })
    try {
      for (const delta of splitWords(text)) {
        await pause(pauseOf(model, chunkDelayMs), stop)
        send({ type: 'response.output_text.delta', event_id: eventId(), delta, ...place })
      }
    } catch {
      running = undefined
      if (!signal.aborted) send(done({ ...response, status: 'cancelled', output: [item] }))
      return
    }
    running = undefined
    const whole = messageOf(place.item_id, [{ type: 'output_text', text }])
    send({ type: 'response.output_text.done', event_id: eventId(), text, ...place })
    send({ type: 'response.content_part.done', event_id: eventId(), part: { ...part, text }, ...place })
    send({ type: 'response.output_item.done', event_id: eventId(), item: whole, ...place })
    items.push({ ...whole })
    const [inputs, outputs] = [countTokens(JSON.stringify(items)), countTokens(text)]
    const usage = { input_tokens: inputs, output_tokens: outputs, total_tokens: inputs + outputs }
    send(done({ ...response, status: 'completed', output: [whole], usage }))
  }

  const done = (response: RealtimeResponse): RealtimeServerEvent => ({
    type: 'response.done',
    event_id: eventId(),
    response,
  })

  const answers: Readonly<Record<string, (event: JsonObject) => unknown>> = {
    'session.update'({ session: wanted }) {
      if (isJsonObject(wanted)) settings = { ...settings, ...wanted }
      send({ type: 'session.updated', event_id: eventId(), session: describe() })
    },
    'conversation.item.create'(event) {
      if (isJsonObject(event['item'])) addItem(event['item'])
      else sendError("Missing required parameter: 'item'.", event, 'missing_required_parameter')
    },
    'input_audio_buffer.append': () => undefined,
    'input_audio_buffer.clear': () => send({ type: 'input_audio_buffer.cleared', event_id: eventId() }),
    'input_audio_buffer.commit'() {
      const itemId = randomId('item_')
      send({ type: 'input_audio_buffer.committed', event_id: eventId(), item_id: itemId })
      addItem({ id: itemId, type: 'message', role: 'user', content: [{ type: 'input_audio', transcript: null }] })
    },
    'response.create'(event) {
      if (running === undefined) return void respond()
      return sendError('There is a response already.', event, 'conversation_already_has_active_response')
    },
    'response.cancel': () => running?.abort(),
  }

  readEvents(session, (event) => {
    const answer = answers[textField(event ?? {}, 'type') ?? '']
    if (event === undefined) sendError('The message is no event.', undefined, 'invalid_json')
    else if (answer === undefined) sendError(`Invalid value: '${String(event['type'])}'.`, event)
    else answer(event)
  })
  send({ type: 'session.created', event_id: eventId(), session: describe() })
}

function messageOf(id: string, content: { type: 'output_text'; text: string }[]) {
  const status = content.length === 0 ? ('in_progress' as const) : ('completed' as const)
  return { id, object: 'realtime.item', type: 'message', role: 'assistant', status, content } as const
}
