import { randomBytes } from 'node:crypto'
import type { JWK } from 'jose'
import type { Authority } from './authority.ts'
import type { Behaviour } from './behaviour.ts'
import type { Account, Store } from './store.ts'

/** Looks up the TXT values at a name, as the authority sees them; rejects where no server answers. */
export type TxtLookup = (name: string) => Promise<readonly string[]>

/** What every endpoint works with. */
export interface World {
  readonly store: Store
  readonly behaviour: Behaviour
  readonly authority: Authority
  readonly lookup: TxtLookup
  readonly now: () => number
  /** Key ids of external accounts and their keys, base64url; an account needs one of them where there are any. */
  readonly externalAccounts: Readonly<Record<string, string>>
  /** Names of profiles and how long their certificates live. */
  readonly profiles: Readonly<Record<string, number>>
  readonly hasRenewalInfo: boolean
  /** `https://127.0.0.1:PORT` */
  readonly origin: () => string
}

/** A request that was verified. */
export interface Call {
  readonly url: string
  /** What the path holds after the endpoint's name. */
  readonly path: readonly string[]
  readonly payload: Readonly<Record<string, unknown>> | undefined
  /** Who signed: an account, or just a key. */
  readonly account: Account | undefined
  readonly jwk: JWK | undefined
}

/** Makes an id that cannot be guessed. */
export function newId(): string {
  return randomBytes(12).toString('base64url')
}

/** Writes a time as documents hold it. */
export function timeText(ms: number): string {
  return new Date(ms).toISOString()
}
