import { missingParameter } from './errors.ts'
import { streamEvents } from './events.ts'
import type { Exchange } from './exchange.ts'
import { readJson } from './exchange.ts'
import { unixTime } from './ids.ts'
import { numberField, requireText, textField } from './json.ts'
import { readForm, textPart } from './multipart.ts'
import type { Route } from './router.ts'
import { sendJson } from './send.ts'
import { countTokens, pauseOf } from './text.ts'

// One transparent pixel.
const png = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII='
const look = { size: '1024x1024', quality: 'low', background: 'transparent', output_format: 'png' }

/** Image generations and edits: always the same small picture. */
export const imageRoutes: readonly Route[] = [
  { method: 'POST', path: '/images/generations', answer: generate },
  { method: 'POST', path: '/images/edits', answer: edit },
]

interface Order {
  readonly kind: 'image_generation' | 'image_edit'
  readonly model: string
  readonly prompt: string
  readonly count: number
  /** How many unfinished pictures the stream shows; undefined for an answer in one piece. */
  readonly partialImages: number | undefined
}

async function generate(exchange: Exchange): Promise<void> {
  const body = await readJson(exchange)
  return sendImages(exchange, {
    kind: 'image_generation',
    model: textField(body, 'model') ?? 'gpt-image-1',
    prompt: requireText(body, 'prompt'),
    count: numberField(body, 'n') ?? 1,
    partialImages: body['stream'] === true ? (numberField(body, 'partial_images') ?? 0) : undefined,
  })
}

async function edit(exchange: Exchange): Promise<void> {
  const parts = await readForm(exchange)
  if (!parts.some(({ name }) => name === 'image' || name.startsWith('image['))) throw missingParameter('image')
  const prompt = textPart(parts, 'prompt')
  if (prompt === undefined) throw missingParameter('prompt')
  return sendImages(exchange, {
    kind: 'image_edit',
    model: textPart(parts, 'model') ?? 'gpt-image-1',
    prompt,
    count: Number(textPart(parts, 'n') ?? 1),
    partialImages: textPart(parts, 'stream') === 'true' ? Number(textPart(parts, 'partial_images') ?? 0) : undefined,
  })
}

async function sendImages(exchange: Exchange, { kind, model, prompt, count, partialImages }: Order): Promise<void> {
  const inputTokens = countTokens(prompt)
  const usage = {
    input_tokens: inputTokens,
    input_tokens_details: { text_tokens: inputTokens, image_tokens: 0 },
    output_tokens: 272,
    total_tokens: inputTokens + 272,
  }
  if (partialImages === undefined) {
    const data = Array.from({ length: Math.min(count, 10) }, () => ({ b64_json: png }))
    return sendJson(exchange.response, { created: unixTime(), ...look, data, usage })
  }
  const picture = { b64_json: png, created_at: unixTime(), ...look }
  const partials = Array.from({ length: Math.min(partialImages, 3) }, (_, index) => {
    const type = `${kind}.partial_image`
    return { event: type, data: { type, ...picture, partial_image_index: index } }
  })
  const type = `${kind}.completed`
  const events = [...partials, { event: type, data: { type, ...picture, usage } }]
  return streamEvents(exchange, events, pauseOf(model, exchange.chunkDelayMs))
}
