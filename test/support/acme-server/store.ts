import type { JWK } from 'jose'
import type { Problem } from './problem.ts'

/** An account. */
export interface Account {
  readonly id: string
  key: JWK
  thumbprint: string
  contact: readonly string[]
  status: 'valid' | 'deactivated'
  /** The key id of the external account it is bound to. */
  readonly external: string | undefined
}

/** The proof of one name. Times are Unix milliseconds. */
export interface Authorization {
  readonly id: string
  readonly account: string
  /** Without `*.`. */
  readonly domain: string
  readonly isWildcard: boolean
  readonly token: string
  status: 'pending' | 'valid' | 'invalid' | 'deactivated'
  challengeStatus: 'pending' | 'processing' | 'valid' | 'invalid'
  error: Problem | undefined
  readonly expires: number
  /** How often it is read as pending yet, though it is decided. */
  readsLeft: number
}

/** An order. Times are Unix milliseconds. */
export interface Order {
  readonly id: string
  readonly account: string
  readonly names: readonly string[]
  readonly profile: string | undefined
  readonly replaces: string | undefined
  readonly authorizations: readonly Authorization[]
  readonly expires: number
  certificate: IssuedCertificate | undefined
  error: Problem | undefined
  /** How often it is read as processing yet, though it is issued. */
  readsLeft: number
}

/** A certificate that was issued. Times are Unix milliseconds. */
export interface IssuedCertificate {
  readonly id: string
  readonly account: string
  /** Hexadecimal. */
  readonly serial: string
  /** RFC 9773 section 4.1, made from what was issued. */
  readonly renewalId: string
  readonly names: readonly string[]
  readonly profile: string | undefined
  readonly replaces: string | undefined
  readonly notBefore: number
  readonly notAfter: number
  /** PEM. */
  readonly leaf: string
  /** PEM, leaf first; the first is the default, the others are alternates. */
  readonly chains: readonly string[]
  readonly publicKey: JWK
  revoked: { readonly reason: number; readonly at: number } | undefined
  isReplaced: boolean
  /** What is answered about its renewal in place of the truth. */
  forcedWindow: string | undefined
}

/** All that the server knows. */
export interface Store {
  readonly accounts: Account[]
  readonly authorizations: Authorization[]
  readonly orders: Order[]
  readonly certificates: IssuedCertificate[]
}
