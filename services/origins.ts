import type { Store } from './stores/index.ts'

/** Knows which browser origins may call. */
export interface Origins {
  /** Tells whether pages of this origin may read answers: named by the operator, by a live token, or local. */
  mayRead(origin: string): boolean
  /** Tells whether pages of this origin may call with a token that names no origins of its own. */
  isGenerallyAllowed(origin: string): boolean
}

/** Pages of this machine: what a developer has while trying out. */
const LOCAL_PAGE = /^https?:\/\/(?:localhost|[\w-]+\.localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?$/

/** Creates the list of origins. `allowLocal` is set when SOAKP listens on loopback. */
export function createOrigins(
  store: Store,
  allowed: readonly string[],
  allowLocal: boolean,
  now: () => number,
): Origins {
  const named = new Set(allowed)
  const isGenerallyAllowed = (origin: string) => named.has(origin) || (allowLocal && LOCAL_PAGE.test(origin))
  return {
    isGenerallyAllowed,
    mayRead: (origin) => isGenerallyAllowed(origin) || store.isOriginNamed(origin, now()),
  }
}
