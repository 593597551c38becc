import { setTimeout as delay } from 'node:timers/promises'

/** Time and chance, so that a test can hand in its own. */
export interface Clock {
  /** Milliseconds since 1970. */
  now(): number
  /** Resolves after `ms`; rejects with the signal's reason as soon as that aborts. Does not keep the process alive. */
  sleep(ms: number, signal: AbortSignal): Promise<void>
  /** A number from 0 up to but not 1. */
  random(): number
}

/** Timers take no more than 31 bits of milliseconds. */
const LONGEST_TIMER_MS = 2 ** 31 - 1

/** The clock of the machine. */
export const systemClock: Clock = {
  now: Date.now,
  random: Math.random,

  async sleep(ms, signal) {
    // Not by the clock: it may be set meanwhile.
    const end = performance.now() + ms
    for (let left = ms; left > 0; left = end - performance.now()) {
      signal.throwIfAborted()
      try {
        await delay(Math.min(left, LONGEST_TIMER_MS), undefined, { signal, ref: false })
      } catch {
        signal.throwIfAborted()
      }
    }
    signal.throwIfAborted()
  },
}
