import { PracticeError } from './errors.ts'

/** Makes one page of a list, newest first, after the query's `after`, `limit` and `order`. */
export function listPage<Item extends { readonly id: string }>(newestFirst: readonly Item[], query: URLSearchParams) {
  const items = query.get('order') === 'asc' ? newestFirst.toReversed() : newestFirst
  const after = query.get('after')
  const start = after === null ? 0 : items.findIndex(({ id }) => id === after) + 1
  if (after !== null && start === 0) throw new PracticeError(400, `No such object: ${after}`, { param: 'after' })
  const limit = Math.max(1, Number(query.get('limit') ?? 20) || 20)
  const data = items.slice(start, start + limit)
  return {
    object: 'list',
    data,
    first_id: data[0]?.id ?? null,
    last_id: data.at(-1)?.id ?? null,
    has_more: start + limit < items.length,
  }
}
