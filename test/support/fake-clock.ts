import { setImmediate as turn } from 'node:timers/promises'
import type { Clock } from '../../services/clock.ts'

interface Sleeper {
  until: number
  wake(): void
}

/** A clock that a test moves. Sleepers wake in the order of their times. */
export interface FakeClock extends Clock {
  /** Sets the time as an operator sets a clock: who sleeps goes on sleeping as long as it wanted to. */
  set(time: number): void
  /** Lets time pass: whenever somebody sleeps and nothing else goes on, it is the next sleeper's time. */
  advance(ms: number): Promise<void>
  /** Lets time pass until `isDone`; throws when that takes longer than `limitMs`. */
  advanceUntil(isDone: () => boolean, limitMs?: number): Promise<void>
  /** Lets time pass until a promise settles. */
  advanceWhile<Value>(promise: Promise<Value>, limitMs?: number): Promise<Value>
  /** Time does not pass while `work` goes on, such as cryptography in other threads. */
  during<Value>(work: Promise<Value>): Promise<Value>
  /** Says that something goes on, so that this is no time for the next sleeper. */
  touch(): void
  /** How many sleep now. */
  sleeping(): number
}

/** So many turns of the event loop without a change, and a program that only sleeps has come to rest. */
const QUIET_TURNS = 3
const DAY_MS = 86_400_000

/** Creates a clock; chance is a fixed sequence. */
export function createFakeClock(start: number): FakeClock {
  let time = start
  let seed = 42
  let changes = 0
  let working = 0
  const sleepers = new Set<Sleeper>()

  const isAsleep = () => sleepers.size > 0 && working === 0

  /** Resolves when somebody sleeps and nothing has changed for some turns: whoever waits for work has no sleeper here. */
  async function settle(isDone: () => boolean): Promise<void> {
    for (let quiet = 0, seen = changes; quiet < QUIET_TURNS || !isAsleep(); quiet += 1) {
      if (isDone()) return
      await turn()
      if (seen !== changes) quiet = 0
      seen = changes
    }
  }

  async function advanceUntil(isDone: () => boolean, end: number): Promise<void> {
    for (;;) {
      await settle(isDone)
      if (isDone()) return
      const next = [...sleepers].reduce((first, each) => (each.until < first.until ? each : first))
      if (next.until > end) {
        time = Math.max(time, end)
        return
      }
      time = Math.max(time, next.until)
      next.wake()
    }
  }

  return {
    now: () => time,
    sleeping: () => sleepers.size,
    during<Value>(work: Promise<Value>) {
      working += 1
      return work.finally(() => {
        working -= 1
        changes += 1
      })
    },

    touch: () => void (changes += 1),
    set(to) {
      for (const sleeper of sleepers) sleeper.until += to - time
      time = to
    },

    advance: (ms) => advanceUntil(() => false, time + ms),

    random() {
      // Numerical Recipes' generator: good enough to spread, and the same each time.
      seed = (seed * 1_664_525 + 1_013_904_223) % 2 ** 32
      return seed / 2 ** 32
    },

    async sleep(ms, signal) {
      signal.throwIfAborted()
      const { promise, resolve, reject } = Promise.withResolvers<void>()
      const end = (settled: () => void) => {
        changes += 1
        sleepers.delete(sleeper)
        signal.removeEventListener('abort', abort)
        settled()
      }
      const sleeper = { until: time + ms, wake: () => end(resolve) }
      const abort = () => end(() => reject(signal.reason))
      signal.addEventListener('abort', abort, { once: true })
      sleepers.add(sleeper)
      changes += 1
      return promise
    },

    async advanceUntil(isDone, limitMs = 10 * DAY_MS) {
      await advanceUntil(isDone, time + limitMs)
      if (!isDone()) throw new Error(`It did not happen within ${limitMs / DAY_MS} simulated days.`)
    },

    async advanceWhile(promise, limitMs = DAY_MS) {
      let isSettled = false
      const settled = () => void (isSettled = true)
      promise.then(settled, settled)
      await advanceUntil(() => isSettled, time + limitMs)
      if (!isSettled) throw new Error(`It did not settle within ${limitMs / 3_600_000} simulated hours.`)
      return promise
    },
  }
}
