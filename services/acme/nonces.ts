/** Holds nonces (RFC 8555 section 6.5) that an authority gave along with its answers. */
export interface Nonces {
  /** Keeps a nonce for later; passes over what is none, or was used already. */
  keep(nonce: string | undefined): void
  /** Takes the newest out, never to give it again; undefined when there is none. */
  take(): string | undefined
}

const MOST_KEPT = 8
const MOST_REMEMBERED = 1000

/** Creates an empty store of nonces. A cache between us and the authority may hand one out twice, hence the memory. */
export function createNonces(): Nonces {
  const used = new Set<string>()
  let kept: string[] = []

  return {
    keep(nonce) {
      if (nonce === undefined || nonce.length > 1024 || !/^[\x21-\x7e]+$/.test(nonce)) return
      if (used.has(nonce) || kept.includes(nonce)) return
      kept = [...kept, nonce].slice(-MOST_KEPT)
    },

    take() {
      const nonce = kept.pop()
      if (nonce === undefined) return undefined
      used.add(nonce)
      for (const oldest of used) {
        if (used.size <= MOST_REMEMBERED) break
        used.delete(oldest)
      }
      return nonce
    },
  }
}
