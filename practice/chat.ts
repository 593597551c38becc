import { pause, streamEvents } from './events.ts'
import type { ServerSentEvent } from './events.ts'
import type { Exchange } from './exchange.ts'
import { readJson } from './exchange.ts'
import { invalidValue } from './errors.ts'
import { randomHex, randomId, unixTime } from './ids.ts'
import { isJsonObject, numberField, requireField, requireText } from './json.ts'
import type { JsonObject } from './json.ts'
import type { Route } from './router.ts'
import { sendJson } from './send.ts'
import { composeReply, countTokens, lastUserText, limitWords, pauseOf, splitWords, thinkingTimeOf } from './text.ts'
import { chooseTool } from './tools.ts'
import type { ToolCall } from './tools.ts'

/** Chat completions, whole and streamed. */
export const chatRoutes: readonly Route[] = [{ method: 'POST', path: '/chat/completions', answer: create }]

/** Answers the body of a chat completion request in one piece; batches use it too. */
export function completeChat(body: JsonObject): JsonObject {
  const { text, call, finishReason, usage, ...head } = think(body)
  const content = call === undefined ? { content: text } : { content: null, tool_calls: [describeCall(call)] }
  const message = { role: 'assistant', ...content, refusal: null, annotations: [] }
  const choices = [{ index: 0, message, logprobs: null, finish_reason: finishReason }]
  return { ...head, object: 'chat.completion', choices, usage }
}

async function create(exchange: Exchange): Promise<void> {
  const body = await readJson(exchange)
  const model = requireText(body, 'model')
  if (body['stream'] === true) return streamEvents(exchange, streamChat(body), pauseOf(model, exchange.chunkDelayMs))
  const completion = completeChat(body)
  await pause(thinkingTimeOf(model), exchange.signal)
  return sendJson(exchange.response, completion)
}

function streamChat(body: JsonObject): readonly ServerSentEvent[] {
  const { text, call, finishReason, usage, ...head } = think(body)
  const options = body['stream_options']
  const isUsageWanted = isJsonObject(options) && options['include_usage'] === true
  const chunk = (choices: readonly JsonObject[], counted: JsonObject | null = null): ServerSentEvent => ({
    data: {
      ...head,
      object: 'chat.completion.chunk',
      choices,
      ...(isUsageWanted ? { usage: counted } : {}),
      obfuscation: randomHex(8),
    },
  })
  const choice = (delta: JsonObject, reason: string | null = null): ServerSentEvent =>
    chunk([{ index: 0, delta, logprobs: null, finish_reason: reason }])
  return [
    choice({ role: 'assistant', content: call === undefined ? '' : null, refusal: null }),
    ...(call === undefined ? splitWords(text).map((content) => ({ content })) : callDeltas(call)).map((delta) =>
      choice(delta),
    ),
    choice({}, finishReason),
    ...(isUsageWanted ? [chunk([], usage)] : []),
    { data: '[DONE]' },
  ]
}

interface Thought {
  readonly id: string
  readonly created: number
  readonly model: string
  readonly service_tier: string
  readonly system_fingerprint: string
  readonly text: string
  readonly call: ToolCall | undefined
  readonly finishReason: string
  readonly usage: JsonObject
}

function think(body: JsonObject): Thought {
  const model = requireText(body, 'model')
  const messages = requireField(body, 'messages')
  if (!Array.isArray(messages) || messages.length === 0) {
    throw invalidValue('messages', "Invalid 'messages': expected an array with at least one message.")
  }
  const userText = lastUserText(messages)
  const reply = composeReply(model, userText)
  const text = limitWords(reply, numberField(body, 'max_completion_tokens') ?? numberField(body, 'max_tokens'))
  const call = chooseTool(body, userText)
  return {
    id: randomId('chatcmpl-'),
    created: unixTime(),
    model,
    service_tier: 'default',
    system_fingerprint: 'fp_practice',
    text,
    call,
    finishReason: call === undefined ? (text === reply ? 'stop' : 'length') : 'tool_calls',
    usage: countUsage(JSON.stringify(messages), call?.arguments ?? text),
  }
}

function describeCall(call: ToolCall): JsonObject {
  return { id: randomId('call_'), type: 'function', function: call }
}

function callDeltas(call: ToolCall): readonly JsonObject[] {
  const first = { index: 0, id: randomId('call_'), type: 'function', function: { name: call.name, arguments: '' } }
  const pieces = call.arguments.match(/.{1,8}/gsu) ?? []
  return [first, ...pieces.map((piece) => ({ index: 0, function: { arguments: piece } }))].map((toolCall) => ({
    tool_calls: [toolCall],
  }))
}

function countUsage(prompt: string, completion: string): JsonObject {
  const promptTokens = countTokens(prompt)
  const completionTokens = countTokens(completion)
  return {
    prompt_tokens: promptTokens,
    completion_tokens: completionTokens,
    total_tokens: promptTokens + completionTokens,
    prompt_tokens_details: { cached_tokens: 0, audio_tokens: 0 },
    completion_tokens_details: {
      reasoning_tokens: 0,
      audio_tokens: 0,
      accepted_prediction_tokens: 0,
      rejected_prediction_tokens: 0,
    },
  }
}
