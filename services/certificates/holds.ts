import type { AcmeError } from '../acme/error.ts'

/** An authority is not asked before a time because it said so. Times are Unix milliseconds. */
export interface Hold {
  readonly directory: string
  /** The names that it is about; null for everything at this directory. */
  readonly names: readonly string[] | null
  readonly at: number
  readonly until: number
  readonly reason: string
}

/** Failures in a row at one directory. Times are Unix milliseconds. */
export interface Setback {
  readonly directory: string
  readonly count: number
  readonly at: number
  readonly until: number
  readonly reason: string
  /** `ours`: the reason lies with us, as with DNS, so that another authority would help nothing. `refused`: repeating does not help. */
  readonly kind: 'ours' | 'unreachable' | 'invalid' | 'refused'
}

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS

/** Where an authority names no time. */
const USUAL_HOLD_MS = HOUR_MS
/** Let's Encrypt's longest window is a week. */
const LONGEST_HOLD_MS = 8 * DAY_MS
const LONGEST_PAUSE_MS = 6 * HOUR_MS
/** What was noted further in the future than this was noted while the clock was wrong. */
const CLOCK_TOLERANCE_MS = HOUR_MS

/** Returns the hold that an authority's `rateLimited` sets. */
export function holdOf(error: AcmeError, names: readonly string[], now: number): Hold {
  const detail = error.problem?.detail ?? error.message
  const waitMs = error.retryAfterMs ?? namedTime(detail, now) ?? USUAL_HOLD_MS
  const until = now + Math.min(Math.max(waitMs, MINUTE_MS), LONGEST_HOLD_MS)
  return { directory: error.directory, names: namesHeld(error, detail, names), at: now, until, reason: detail }
}

/** Tells until when a directory is not to be asked for these names; 0 when it may be asked now. */
export function heldUntil(holds: readonly Hold[], directory: string, names: readonly string[], now: number): number {
  const times = liveHolds(holds, now)
    .filter((hold) => hold.directory === directory && concerns(hold, names))
    .map(({ until }) => until)
  return Math.max(0, ...times)
}

/** Returns the holds that still are. */
export function liveHolds(holds: readonly Hold[], now: number): Hold[] {
  return holds.filter(({ at, until }) => until > now && at <= now + CLOCK_TOLERANCE_MS)
}

/** Returns the setback that follows another failure: a minute, two, four, up to six hours, each up to a fifth longer. */
export function setbackAfter(
  previous: Setback | undefined,
  failure: Pick<Setback, 'directory' | 'reason' | 'kind'> & { readonly retryAfterMs: number | undefined },
  now: number,
  chance: number,
): Setback {
  const { directory, reason, kind, retryAfterMs = 0 } = failure
  const count = (previous?.count ?? 0) + 1
  const pauseMs = Math.min(LONGEST_PAUSE_MS, MINUTE_MS * 2 ** Math.min(count - 1, 12))
  const until = now + Math.max(pauseMs * (1 + chance / 5), Math.min(retryAfterMs, DAY_MS))
  return { directory, count, at: now, until, reason, kind }
}

/** Who starts SOAKP anew may have changed something: no more than five minutes from the last failure are waited for then. */
export function shortenedSetbacks(setbacks: readonly Setback[]): Setback[] {
  return setbacks.map((each) => ({ ...each, until: Math.min(each.until, each.at + 5 * MINUTE_MS) }))
}

/** Finds the setback of a directory; one that was noted by a clock far ahead does not count. */
export function setbackOf(setbacks: readonly Setback[], directory: string, now: number): Setback | undefined {
  return setbacks.find((each) => each.directory === directory && each.at <= now + CLOCK_TOLERANCE_MS)
}

/** A limit on one exact set concerns that set; a limit on single names concerns every order with one of them. */
function concerns(hold: Hold, names: readonly string[]): boolean {
  return hold.names === null || hold.names.some((name) => names.includes(name))
}

/** Let's Encrypt: `too many failed authorizations (5) for "ai.example.com" in the last 1h0m0s, retry after 2026-11-25 10:00:00 UTC`. */
function namesHeld(error: AcmeError, detail: string, names: readonly string[]): readonly string[] | null {
  if (/exact set/i.test(detail)) return names
  const mentioned = new Set([
    ...(error.problem?.subproblems ?? []).map(({ name }) => name),
    ...[...detail.matchAll(/"([^"]+)"/g)].map(([, name]) => name),
  ])
  const ours = names.filter((name) => [...mentioned].some((each) => each !== undefined && covers(each, name)))
  return ours.length > 0 ? ours : null
}

/** A limit on a registered domain is one on the names below it. */
function covers(mentioned: string, name: string): boolean {
  const bare = name.replace(/^\*\./, '')
  return name === mentioned || bare === mentioned || bare.endsWith(`.${mentioned}`)
}

function namedTime(detail: string, now: number): number | undefined {
  const [, day, time] = /retry after (\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)/i.exec(detail) ?? []
  const at = day === undefined ? Number.NaN : Date.parse(`${day}T${time}Z`)
  return Number.isNaN(at) ? undefined : at - now
}
