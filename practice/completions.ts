import { streamEvents } from './events.ts'
import type { ServerSentEvent } from './events.ts'
import type { Exchange } from './exchange.ts'
import { readJson } from './exchange.ts'
import { randomId, unixTime } from './ids.ts'
import { requireText } from './json.ts'
import type { JsonObject } from './json.ts'
import type { Route } from './router.ts'
import { sendJson } from './send.ts'
import { composeReply, countTokens, pauseOf, splitWords } from './text.ts'

/** The legacy completions, whole and streamed. */
export const completionRoutes: readonly Route[] = [{ method: 'POST', path: '/completions', answer: create }]

async function create(exchange: Exchange): Promise<void> {
  const body = await readJson(exchange)
  const model = requireText(body, 'model')
  const prompt = promptOf(body['prompt'])
  const text = composeReply(model, prompt)
  const head = { id: randomId('cmpl-'), object: 'text_completion', created: unixTime(), model }
  if (body['stream'] === true) {
    return streamEvents(exchange, streamText(head, text), pauseOf(model, exchange.chunkDelayMs))
  }
  const promptTokens = countTokens(prompt)
  const completionTokens = countTokens(text)
  return sendJson(exchange.response, {
    ...head,
    choices: [choice(text, 'stop')],
    usage: {
      prompt_tokens: promptTokens,
      completion_tokens: completionTokens,
      total_tokens: promptTokens + completionTokens,
    },
  })
}

function streamText(head: JsonObject, text: string): readonly ServerSentEvent[] {
  const words = splitWords(text).map((word) => ({ data: { ...head, choices: [choice(word, null)] } }))
  return [...words, { data: { ...head, choices: [choice('', 'stop')] } }, { data: '[DONE]' }]
}

function choice(text: string, finishReason: string | null): JsonObject {
  return { text, index: 0, logprobs: null, finish_reason: finishReason }
}

function promptOf(prompt: unknown): string {
  const first: unknown = Array.isArray(prompt) ? prompt[0] : prompt
  return typeof first === 'string' ? first : ''
}
