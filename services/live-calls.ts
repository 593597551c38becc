/** Knows which calls of which token are running, to count them and to end them. */
export interface LiveCalls {
  /** Number of running calls of a token. */
  count(tokenId: string): number
  /** Number of running calls in all. */
  readonly size: number
  /** Adds a call; the function returned removes it and may be called twice. */
  add(tokenId: string, keyId: string, end: () => void): () => void
  /** Ends the running calls of a token. */
  endToken(tokenId: string): void
  /** Ends the running calls of all tokens of a key. */
  endKey(keyId: string): void
}

interface LiveCall {
  readonly keyId: string
  readonly end: () => void
}

/** Creates an empty list of running calls. */
export function createLiveCalls(): LiveCalls {
  const calls = new Map<string, Set<LiveCall>>()
  let size = 0

  return {
    count: (tokenId) => calls.get(tokenId)?.size ?? 0,

    get size() {
      return size
    },

    add(tokenId, keyId, end) {
      const call = { keyId, end }
      const ofToken = calls.get(tokenId) ?? new Set()
      calls.set(tokenId, ofToken.add(call))
      size += 1
      return () => {
        if (!ofToken.delete(call)) return
        size -= 1
        if (ofToken.size === 0 && calls.get(tokenId) === ofToken) calls.delete(tokenId)
      }
    },

    endToken(tokenId) {
      calls.get(tokenId)?.forEach((call) => call.end())
    },

    endKey(keyId) {
      const all = [...calls.values()].flatMap((ofToken) => [...ofToken])
      for (const call of all) if (call.keyId === keyId) call.end()
    },
  }
}
