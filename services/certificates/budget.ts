import { sameNames } from '../certificate-names.ts'

/** Something that authorities count. Times are Unix milliseconds. */
export interface Spent {
  readonly kind: 'order' | 'certificate' | 'failed-validation'
  readonly directory: string
  readonly names: readonly string[]
  readonly at: number
}

/** Why the budget does not allow an order, and from when it does. */
export interface Refusal {
  readonly until: number
  readonly reason: string
}

const HOUR_MS = 3_600_000
const WEEK_MS = 7 * 24 * HOUR_MS
const CLOCK_TOLERANCE_MS = HOUR_MS
/** Bounds the document; far above what the limits let through. */
const MOST_KEPT = 1_000

interface Limit {
  readonly kind: Spent['kind']
  readonly count: number
  readonly withinMs: number
  readonly what: string
}

/** https://letsencrypt.org/docs/rate-limits/. Its 50 certificates per registered domain would need the public suffix list and is left to the authority. */
const FAILED_VALIDATIONS: Limit = {
  kind: 'failed-validation',
  count: 5,
  withinMs: HOUR_MS,
  what: 'failed validations of one name in an hour',
}
const DUPLICATES: Limit = {
  kind: 'certificate',
  count: 5,
  withinMs: WEEK_MS,
  what: 'certificates for the same names in seven days',
}
const ORDERS: Limit = { kind: 'order', count: 300, withinMs: 3 * HOUR_MS, what: 'orders in three hours' }

/**
 * Tells whether one more order stays within what Let's Encrypt allows; undefined when it does. Failed validations are
 * counted for every directory, the rest only where `isPublic`; renewals that the authority asked for (`isAsked`) are
 * exempt from the rest.
 */
export function refusalOf(
  spent: readonly Spent[],
  order: {
    readonly directory: string
    readonly names: readonly string[]
    readonly isPublic: boolean
    readonly isAsked: boolean
  },
  now: number,
): Refusal | undefined {
  const here = liveSpent(spent, now).filter(({ directory }) => directory === order.directory)
  const used = (limit: Limit, counts: (each: Spent) => boolean) =>
    exceeded(
      limit,
      here.filter((each) => each.kind === limit.kind && counts(each)).map(({ at }) => at),
      now,
    )
  const domains = order.names.map((name) => name.replace(/^\*\./, ''))
  const failed = domains.map((domain) => {
    // A domain and its wildcard may both fail in one attempt.
    const more = domains.filter((each) => each === domain).length - 1
    const limit = { ...FAILED_VALIDATIONS, count: FAILED_VALIDATIONS.count - more }
    return used(limit, ({ names }) => names.includes(domain))
  })
  const isSame = ({ names }: Spent) => sameNames(names, order.names)
  const counted = order.isPublic && !order.isAsked ? [used(DUPLICATES, isSame), used(ORDERS, () => true)] : []
  return [...failed, ...counted]
    .filter((each) => each !== undefined)
    .toSorted((a, b) => b.until - a.until)
    .at(0)
}

/** Returns what still counts. */
export function liveSpent(spent: readonly Spent[], now: number): Spent[] {
  return spent.filter(({ at }) => at > now - WEEK_MS && at <= now + CLOCK_TOLERANCE_MS).slice(-MOST_KEPT)
}

function exceeded({ count, withinMs, what }: Limit, times: readonly number[], now: number): Refusal | undefined {
  const recent = times.filter((at) => at > now - withinMs).toSorted((a, b) => a - b)
  const oldest = recent.at(-count)
  if (oldest === undefined) return undefined
  const until = oldest + withinMs
  return {
    until,
    reason: `There were ${recent.length} ${what}, which is as many as may be: nothing is ordered before ${new Date(until).toISOString()}.`,
  }
}
