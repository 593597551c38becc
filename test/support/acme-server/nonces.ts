import { newId } from './context.ts'

/** Nonces, each of which is good once. */
export interface Nonces {
  issue(): string
  /** Tells whether a nonce is good, and makes it bad. */
  use(nonce: unknown): boolean
}

/** Creates a store of nonces. */
export function createNonces(): Nonces {
  const good = new Set<unknown>()
  return {
    issue() {
      const nonce = newId()
      good.add(nonce)
      return nonce
    },
    use: (nonce) => good.delete(nonce),
  }
}
