/** How many bytes of a body, or how many messages, have come. */
export interface Progress {
  readonly note: (count: number) => void
  /** Resolves when so many have come. */
  readonly reached: (count: number) => Promise<void>
  /** The same for what nobody may hold back: resolves after a second in any case, and at once after that. */
  readonly due: (count: number) => Promise<void>
  /** Tells whether something that was due had not come. */
  readonly isLate: () => boolean
}

/** Longer than anything takes that is not held back. */
const PATIENCE_MS = 1_000

/** Creates a count that can be waited for. */
export function createProgress(): Progress {
  let total = 0
  let isLate = false
  let change = Promise.withResolvers<void>()

  async function reached(count: number): Promise<void> {
    for (;;) {
      if (total >= count) return
      await change.promise
    }
  }

  return {
    note(count) {
      total += count
      change.resolve()
      change = Promise.withResolvers()
    },

    reached,

    async due(count) {
      if (isLate) return
      const late = Promise.withResolvers<void>()
      const timer = setTimeout(() => {
        isLate = true
        late.resolve()
      }, PATIENCE_MS)
      await Promise.race([reached(count), late.promise])
      clearTimeout(timer)
    },

    isLate: () => isLate,
  }
}
