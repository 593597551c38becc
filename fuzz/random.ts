/** Numbers that are the same for the same seed. */
export interface Random {
  /** Returns a whole number from 0 up to, but not, `below`. */
  below(below: number): number
  /** Tells true in so many of a hundred cases. */
  percent(percent: number): boolean
  pick<Item>(items: readonly Item[]): Item
  bytes(length: number): Buffer
}

/** Creates the numbers of one case: each has its own, so that it can be repeated alone. */
export function createRandom(seed: number, index: number): Random {
  // splitmix32; the constants are those of its author and of the golden ratio.
  let state = (Math.imul(seed, 0x9e3779b9) ^ Math.imul(index + 1, 0x85ebca6b)) >>> 0

  function next(): number {
    state = (state + 0x9e3779b9) >>> 0
    let mixed = state ^ (state >>> 16)
    mixed = Math.imul(mixed, 0x21f0aaad)
    mixed ^= mixed >>> 15
    mixed = Math.imul(mixed, 0x735a2d97)
    return (mixed ^ (mixed >>> 15)) >>> 0
  }

  const below = (limit: number) => next() % limit
  return {
    below,
    percent: (percent) => below(100) < percent,
    pick<Item>(items: readonly Item[]): Item {
      const item = items[below(items.length)]
      if (item === undefined) throw new RangeError('there is nothing to pick from')
      return item
    },
    bytes: (length) => Buffer.from(Array.from({ length }, () => below(256))),
  }
}
