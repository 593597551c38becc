import type { Store } from './stores/index.ts'

/** Counts the requests of each token on a UTC day. Counts are written once a second and at the end, not per request. */
export interface DailyCounts {
  /** Requests of a token today. */
  today(tokenId: string): number
  add(tokenId: string): void
  /** Writes what was counted since the last time. */
  flush(): Promise<void>
  /** Seconds until the day ends. */
  secondsLeft(): number
}

const DAY_SECONDS = 86_400

/** Creates the counts; `now` gives Unix seconds. */
export function createDailyCounts(store: Store, now: () => number): DailyCounts {
  const dayOf = (time: number) => Math.floor(time / DAY_SECONDS)
  let day = dayOf(now())
  let totals = new Map<string, number>()
  /** By day, so that what is written after midnight is still yesterday's. */
  let pending = new Map<number, Map<string, number>>()
  let writing: Promise<void> = Promise.resolve()

  function total(tokenId: string): number {
    const known = totals.get(tokenId)
    if (known !== undefined) return known
    const stored = store.readRequests(tokenId, day)
    totals.set(tokenId, stored)
    return stored
  }

  function addPending(onDay: number, tokenId: string, count: number): void {
    const counts = pending.get(onDay) ?? new Map<string, number>()
    pending.set(onDay, counts.set(tokenId, (counts.get(tokenId) ?? 0) + count))
  }

  async function write(): Promise<void> {
    const counted = pending
    pending = new Map()
    try {
      for (const [onDay, counts] of counted) {
        await store.addRequests(onDay, counts)
        counted.delete(onDay)
      }
    } catch (error) {
      for (const [onDay, counts] of counted) counts.forEach((count, tokenId) => addPending(onDay, tokenId, count))
      throw error
    }
  }

  function turn(): void {
    const today = dayOf(now())
    if (today === day) return
    day = today
    totals = new Map()
  }

  return {
    today(tokenId) {
      turn()
      return total(tokenId)
    },

    add(tokenId) {
      turn()
      totals.set(tokenId, total(tokenId) + 1)
      addPending(day, tokenId, 1)
    },

    // One write at a time: the one at the end waits for the one that the timer began.
    flush: () => (writing = writing.catch(() => undefined).then(write)),

    secondsLeft: () => DAY_SECONDS - (now() % DAY_SECONDS),
  }
}
