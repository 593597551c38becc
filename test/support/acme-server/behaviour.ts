/** How the server behaves; a test changes it at any time. */
export interface Behaviour {
  /** The share of good nonces that are called bad, 0 to 1. */
  badNonceShare: number
  /** How often an authorization is read as pending before it is seen to be decided. */
  authorizationReads: number
  /** How often an order is read as processing before it is seen to be valid. */
  orderReads: number
  /** What `Retry-After` says of orders and authorizations that are not decided, seconds. */
  retryAfterSeconds: number | undefined
  /** Answers an order for names that has not expired and is pending or ready with that order, as Boulder does. */
  reusesOrders: boolean
  /** Has a name that was proved once stay proved. */
  reusesAuthorizations: boolean
  /** Adds fields, challenge types, directory keys and headers that nobody knows. */
  isStrange: boolean
  /** Answers a change to a key that another account has with 200 and changes nothing, as Pebble 2.10 does. */
  liesAboutKeyChange: boolean
  /** How long certificates live that are ordered without a profile. */
  validityMs: number
  /** How long before it is issued a certificate becomes valid. */
  backdateMs: number
  /** Domains whose proof fails, with the problem's type: `{ 'a.test': 'caa' }`. */
  readonly refusedProofs: Record<string, string>
}

/** How a server behaves unless told otherwise. */
export function usualBehaviour(): Behaviour {
  return {
    badNonceShare: 0,
    authorizationReads: 0,
    orderReads: 0,
    retryAfterSeconds: undefined,
    reusesOrders: false,
    reusesAuthorizations: false,
    isStrange: false,
    liesAboutKeyChange: false,
    validityMs: 90 * 86_400_000,
    backdateMs: 3_600_000,
    refusedProofs: {},
  }
}
