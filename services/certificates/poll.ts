import type { Clock } from '../clock.ts'
import { AcmeError } from '../acme/error.ts'
import { orAborted } from '../or-aborted.ts'

/** How something is asked for again and again. */
export interface Poll<Value> {
  readonly clock: Clock
  readonly signal: AbortSignal
  /** How long all of it may take, but for the last answer. */
  readonly limitMs: number
  readonly read: () => Promise<Value>
  readonly isDone: (value: Value) => boolean
}

const FIRST_PAUSE_MS = 1_000
const LONGEST_OWN_PAUSE_MS = 10_000
const LONGEST_PAUSE_MS = 60_000
const MOST_FAILURES = 5

/**
 * Asks until it is done: after a second, then ever slower up to ten, or as Retry-After says, up to a minute. Resolves
 * with the last answer, also when that is not done but the limit is reached. A few answers in a row may fail.
 */
export async function poll<Value extends { readonly retryAfterMs: number | undefined }>({
  clock,
  signal,
  limitMs,
  read,
  isDone,
}: Poll<Value>): Promise<Value> {
  let waitedMs = 0
  let failures = 0
  for (let ownPauseMs = FIRST_PAUSE_MS; ; ownPauseMs = Math.min(ownPauseMs * 1.5, LONGEST_OWN_PAUSE_MS)) {
    let retryAfterMs: number | undefined
    const since = clock.now()
    try {
      const value = await orAborted(signal, read())
      if (isDone(value) || waitedMs >= limitMs) return value
      failures = 0
      retryAfterMs = value.retryAfterMs
    } catch (error) {
      failures += 1
      if (signal.aborted || !mayPass(error) || failures >= MOST_FAILURES || waitedMs >= limitMs) throw error
      retryAfterMs = (error as AcmeError).retryAfterMs
    }
    const askedMs = Math.max(0, clock.now() - since)
    const pauseMs = Math.min(Math.max(retryAfterMs ?? ownPauseMs, FIRST_PAUSE_MS), LONGEST_PAUSE_MS)
    await clock.sleep(pauseMs, signal)
    // Not the clock's difference throughout: it may be set meanwhile, forth or back.
    waitedMs += askedMs + pauseMs
  }
}

function mayPass(error: unknown): boolean {
  return error instanceof AcmeError && (error.answered === undefined || error.answered >= 500)
}
