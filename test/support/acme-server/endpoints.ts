import { account, keyChange, newAccount } from './accounts.ts'
import { authorization, challenge } from './authorizations.ts'
import { certificate, renewalInfo, revokeCert } from './certificates.ts'
import type { Call, World } from './context.ts'
import { directory } from './directory.ts'
import type { Answer } from './faults.ts'
import { finalize, newOrder, order } from './orders.ts'

/** Names of endpoints, as faults and the log have them. */
export type EndpointName =
  | 'directory'
  | 'newNonce'
  | 'newAccount'
  | 'account'
  | 'keyChange'
  | 'newOrder'
  | 'order'
  | 'finalize'
  | 'authorization'
  | 'challenge'
  | 'certificate'
  | 'revokeCert'
  | 'renewalInfo'

/** Where an endpoint is, and who may ask: anyone, a key, an account, or either of the two. */
export interface Endpoint {
  readonly name: EndpointName
  readonly path: string
  readonly signedBy: 'nobody' | 'key' | 'account' | 'either'
  readonly handle: (world: World, call: Call) => Answer | Promise<Answer>
}

const NONCE: Answer = { status: 200, headers: { 'cache-control': 'no-store' } }

/** All endpoints. */
export const endpoints: readonly Endpoint[] = [
  { name: 'directory', path: 'directory', signedBy: 'nobody', handle: directory },
  { name: 'newNonce', path: 'new-nonce', signedBy: 'nobody', handle: () => NONCE },
  { name: 'newAccount', path: 'new-account', signedBy: 'key', handle: newAccount },
  { name: 'account', path: 'account', signedBy: 'account', handle: account },
  { name: 'keyChange', path: 'key-change', signedBy: 'account', handle: keyChange },
  { name: 'newOrder', path: 'new-order', signedBy: 'account', handle: newOrder },
  { name: 'order', path: 'order', signedBy: 'account', handle: order },
  { name: 'finalize', path: 'finalize', signedBy: 'account', handle: finalize },
  { name: 'authorization', path: 'authorization', signedBy: 'account', handle: authorization },
  { name: 'challenge', path: 'challenge', signedBy: 'account', handle: challenge },
  { name: 'certificate', path: 'certificate', signedBy: 'account', handle: certificate },
  { name: 'revokeCert', path: 'revoke', signedBy: 'either', handle: revokeCert },
  { name: 'renewalInfo', path: 'renewal', signedBy: 'nobody', handle: renewalInfo },
]
