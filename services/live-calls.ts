import type { SoakpError } from './errors.ts'
import { tokenEnded } from './upstream-errors.ts'

/** Ends a call; the error says why, and is the answer where none has begun. */
export type EndCall = (why: SoakpError) => void

/** A call that is running. */
export interface LiveCall {
  readonly keyId: string
  /** By `performance.now()`. */
  readonly startedMs: number
  readonly end: EndCall
  /**
   * Returns how far the client is with what is its turn; undefined while nothing is. A call without this function has a
   * watch of its own.
   */
  readonly owes: (() => Owed | undefined) | undefined
}

/** How much of a body the client has sent, or of an answer it has taken, while the rest is waited for. */
export interface Owed {
  readonly of: 'body' | 'answer'
  readonly bytes: number
}

/** Knows which calls of which token are running, to count them and to end them. */
export interface LiveCalls {
  /** Number of running calls of a token. */
  count(tokenId: string): number
  /** Number of running calls in all. */
  readonly size: number
  /** Adds a call; the function returned removes it and may be called twice. */
  add(tokenId: string, keyId: string, end: EndCall, owes?: () => Owed | undefined): () => void
  /** Ends the running calls of a token. */
  endToken(tokenId: string): void
  /** Ends the running calls of all tokens of a key. */
  endKey(keyId: string): void
  /** All running calls. */
  all(): readonly LiveCall[]
}

/** Creates an empty list of running calls. */
export function createLiveCalls(): LiveCalls {
  const calls = new Map<string, Set<LiveCall>>()
  let size = 0

  function all(): LiveCall[] {
    return [...calls.values()].flatMap((ofToken) => [...ofToken])
  }

  return {
    count: (tokenId) => calls.get(tokenId)?.size ?? 0,

    get size() {
      return size
    },

    add(tokenId, keyId, end, owes) {
      const call = { keyId, startedMs: performance.now(), end, owes }
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
      calls.get(tokenId)?.forEach((call) => call.end(tokenEnded()))
    },

    endKey(keyId) {
      for (const call of all()) if (call.keyId === keyId) call.end(tokenEnded())
    },

    all,
  }
}
