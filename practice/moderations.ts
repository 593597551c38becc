import type { Exchange } from './exchange.ts'
import { readJson } from './exchange.ts'
import { randomId } from './ids.ts'
import { requireField, textField } from './json.ts'
import type { Route } from './router.ts'
import { sendJson } from './send.ts'

const categories = [
  'harassment',
  'harassment/threatening',
  'hate',
  'hate/threatening',
  'illicit',
  'illicit/violent',
  'self-harm',
  'self-harm/instructions',
  'self-harm/intent',
  'sexual',
  'sexual/minors',
  'violence',
  'violence/graphic',
]

/** Moderations: only text with the word `practice-violence` is flagged. */
export const moderationRoutes: readonly Route[] = [{ method: 'POST', path: '/moderations', answer: create }]

async function create(exchange: Exchange): Promise<void> {
  const body = await readJson(exchange)
  const input = requireField(body, 'input')
  const isListOfTexts = Array.isArray(input) && typeof input[0] === 'string'
  const inputs: readonly unknown[] = isListOfTexts ? input : [input]
  const model = textField(body, 'model') ?? 'omni-moderation-latest'
  sendJson(exchange.response, { id: randomId('modr-'), model, results: inputs.map(judge) })
}

function judge(input: unknown): object {
  const flagged = JSON.stringify(input).includes('practice-violence')
  return {
    flagged,
    categories: forEachCategory((category) => flagged && category === 'violence'),
    category_scores: forEachCategory((category) => (flagged && category === 'violence' ? 0.9 : 0.0001)),
    category_applied_input_types: forEachCategory(() => ['text']),
  }
}

function forEachCategory<Value>(valueOf: (category: string) => Value): Record<string, Value> {
  return Object.fromEntries(categories.map((category) => [category, valueOf(category)]))
}
