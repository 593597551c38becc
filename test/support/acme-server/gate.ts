import type { Call, World } from './context.ts'
import type { Endpoint } from './endpoints.ts'
import { takeApart, verify } from './jws.ts'
import type { Nonces } from './nonces.ts'
import { Refused } from './problem.ts'
import type { LoggedRequest } from './respond.ts'
import type { Account } from './store.ts'

/** A request as it came in. */
export interface Incoming {
  readonly method: string
  readonly url: string
  readonly path: readonly string[]
  readonly contentType: string | undefined
  readonly userAgent: string | undefined
  readonly body: string
}

/** Verifies a request as RFC 8555 section 6 wants it. Throws `Refused`; notes in the log what it came across. */
export async function verifyRequest(
  world: World,
  { signedBy }: Endpoint,
  { method, url, path, contentType, userAgent, body }: Incoming,
  { nonces, random, log }: { readonly nonces: Nonces; readonly random: () => number; readonly log: LoggedRequest },
): Promise<Call> {
  if (userAgent === undefined) throw new Refused(400, 'malformed', 'User-Agent is missing')
  if (signedBy === 'nobody') {
    if (!['GET', 'HEAD'].includes(method)) throw new Refused(405, 'malformed', `${method} is not allowed`)
    return { url, path, payload: undefined, account: undefined, jwk: undefined }
  }
  if (method !== 'POST') throw new Refused(405, 'malformed', `${method} is not allowed`)
  if (contentType !== 'application/jose+json') throw new Refused(415, 'malformed', `Content-Type is ${contentType}`)
  const signed = takeApart(readJson(body))
  log.nonce = typeof signed.nonce === 'string' ? signed.nonce : undefined
  const isGood = nonces.use(signed.nonce)
  if (!isGood || random() < world.behaviour.badNonceShare) throw new Refused(400, 'badNonce', 'The nonce is not good')
  if (signed.url !== url) throw new Refused(403, 'unauthorized', `Signed for ${String(signed.url)}, sent to ${url}`)
  if (signed.jwk !== undefined ? signedBy === 'account' : signedBy === 'key') {
    throw new Refused(400, 'malformed', `This is signed by ${signedBy}`)
  }
  const account = signed.kid === undefined ? undefined : findAccount(world, signed.kid)
  log.account = account?.id
  const key = account?.key ?? signed.jwk
  if (key === undefined) throw new Refused(400, 'malformed', 'No key')
  const payload = await verify(signed, key)
  log.payload = payload
  return { url, path, payload, account, jwk: signed.jwk }
}

function findAccount({ store, origin }: World, kid: string): Account {
  const found = store.accounts.find(({ id }) => kid === `${origin()}/account/${id}`)
  if (found === undefined) throw new Refused(400, 'accountDoesNotExist', `There is no account ${kid}`)
  if (found.status !== 'valid') throw new Refused(403, 'unauthorized', `The account is ${found.status}`)
  return found
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text) as unknown
  } catch {
    throw new Refused(400, 'malformed', 'The body is no JSON')
  }
}
