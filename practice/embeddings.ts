import { createHash } from 'node:crypto'
import type { Exchange } from './exchange.ts'
import { readJson } from './exchange.ts'
import { numberField, requireField, requireText } from './json.ts'
import type { JsonObject } from './json.ts'
import type { Route } from './router.ts'
import { sendJson } from './send.ts'
import { countTokens } from './text.ts'

/** Embeddings, as numbers or base64. */
export const embeddingRoutes: readonly Route[] = [{ method: 'POST', path: '/embeddings', answer: create }]

/** Answers the body of an embedding request; batches use it too. */
export function embed(body: JsonObject): JsonObject {
  const model = requireText(body, 'model')
  const dimensions = numberField(body, 'dimensions') ?? (model.includes('large') ? 3072 : 1536)
  const inputs = textsIn(requireField(body, 'input'))
  const data = inputs.map((input, index) => {
    const vector = vectorOf(input, dimensions)
    const embedding = body['encoding_format'] === 'base64' ? toBase64(vector) : [...vector]
    return { object: 'embedding', index, embedding }
  })
  const tokens = inputs.reduce((sum, input) => sum + countTokens(input), 0)
  return { object: 'list', data, model, usage: { prompt_tokens: tokens, total_tokens: tokens } }
}

async function create(exchange: Exchange): Promise<void> {
  sendJson(exchange.response, embed(await readJson(exchange)))
}

/** The input is a text, texts, the tokens of a text or the tokens of texts. */
function textsIn(input: unknown): readonly string[] {
  if (!Array.isArray(input)) return [String(input)]
  return typeof input[0] === 'number' ? [input.join(' ')] : input.map(String)
}

/** Makes the same unit vector for the same text: numbers from a generator (Marsaglia's xorshift) seeded by its hash. */
function vectorOf(text: string, dimensions: number): Float32Array {
  let state = createHash('sha256').update(text).digest().readUInt32LE() || 1
  const vector = Float32Array.from({ length: dimensions }, () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return state / 2 ** 31
  })
  const length = Math.hypot(...vector)
  return vector.map((value) => value / length)
}

function toBase64(vector: Float32Array): string {
  return Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString('base64')
}
