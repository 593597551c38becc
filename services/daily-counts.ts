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
  let pending = new Map<string, number>()

  function total(tokenId: string): number {
    const known = totals.get(tokenId)
    if (known !== undefined) return known
    const stored = store.readRequests(tokenId, day)
    totals.set(tokenId, stored)
    return stored
  }

  async function flush(): Promise<void> {
    if (pending.size === 0) return
    const counted = pending
    pending = new Map()
    try {
      await store.addRequests(day, counted)
    } catch (error) {
      for (const [tokenId, count] of counted) pending.set(tokenId, (pending.get(tokenId) ?? 0) + count)
      throw error
    }
  }

  /** On a new day the totals begin at nothing; what is pending is a second's worth and counts for the new day. */
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
      pending.set(tokenId, (pending.get(tokenId) ?? 0) + 1)
    },

    flush,

    secondsLeft: () => DAY_SECONDS - (now() % DAY_SECONDS),
  }
}
