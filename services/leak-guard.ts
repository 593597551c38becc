/** Looks for a key in bytes that leave, across any split into chunks. */
export interface LeakGuard {
  /** Tells whether the key is in these bytes as they are. */
  isIn(bytes: Buffer): boolean
  /**
   * Takes the next chunk of a body and returns what may leave now. What could be the beginning of the key is held back
   * until the next chunk. Returns undefined once the key has appeared: nothing may leave after that.
   */
  push(chunk: Buffer): Buffer | undefined
  /** Returns what was held back, at the end of a body. */
  rest(): Buffer
  /** Wipes the key. */
  end(): void
}

const NOTHING = Buffer.alloc(0)

/** Creates a guard for one answer; `key` is the upstream key. Costs about 0.1 us for an event of a stream. */
export function createLeakGuard(key: string): LeakGuard {
  const needle = Buffer.from(key)
  let held: Buffer = NOTHING

  return {
    isIn: (bytes) => bytes.includes(needle),

    push(chunk) {
      const bytes = held.length === 0 ? chunk : Buffer.concat([held, chunk])
      if (bytes.includes(needle)) {
        held = NOTHING
        return undefined
      }
      const safe = bytes.length - beginningAtEnd(bytes, needle)
      held = bytes.subarray(safe)
      return bytes.subarray(0, safe)
    },

    rest: () => held,

    end: () => void needle.fill(0),
  }
}

/** Returns how many bytes at the end of `bytes` are a beginning of `needle`. */
function beginningAtEnd(bytes: Buffer, needle: Buffer): number {
  const first = needle[0] ?? 0
  let at = bytes.indexOf(first, Math.max(0, bytes.length - needle.length + 1))
  while (at !== -1) {
    const length = bytes.length - at
    if (bytes.compare(needle, 0, length, at) === 0) return length
    at = bytes.indexOf(first, at + 1)
  }
  return 0
}
