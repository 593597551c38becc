import { calculateJwkThumbprint, flattenedVerify, importJWK } from 'jose'
import type { FlattenedJWS, JWK } from 'jose'
import { Refused } from './problem.ts'

const ALGORITHMS = ['ES256', 'ES384', 'ES512', 'RS256', 'EdDSA']

/** A request's signed part, before it is known whose key it is. */
export interface Signed {
  readonly jws: FlattenedJWS
  readonly url: unknown
  readonly nonce: unknown
  readonly kid: string | undefined
  readonly jwk: JWK | undefined
}

/** Takes a JWS apart without verifying it. Throws `Refused` for what is none. */
export function takeApart(value: unknown): Signed {
  try {
    const jws = value as FlattenedJWS
    const header = JSON.parse(Buffer.from(jws.protected ?? '', 'base64url').toString()) as Record<string, unknown>
    const { url, nonce, kid, jwk } = header
    if ((kid === undefined) === (jwk === undefined)) throw new Error('either kid or jwk')
    if (typeof jws.payload !== 'string' || typeof jws.signature !== 'string') throw new Error('payload and signature')
    return { jws, url, nonce, kid: kid as string | undefined, jwk: jwk as JWK | undefined }
  } catch {
    throw new Refused(400, 'malformed', 'The request is no JWS with either kid or jwk')
  }
}

/** Verifies a JWS and returns its payload: undefined where that is empty. Throws `Refused`. */
export async function verify({ jws }: Signed, key: JWK): Promise<Record<string, unknown> | undefined> {
  let payload: string
  try {
    const verified = await flattenedVerify(jws, await importJWK(key, algorithmOf(jws)), { algorithms: ALGORITHMS })
    payload = Buffer.from(verified.payload).toString()
  } catch (error) {
    throw new Refused(403, 'unauthorized', `The signature is wrong: ${String(error)}`)
  }
  if (payload === '') return undefined
  try {
    return JSON.parse(payload) as Record<string, unknown>
  } catch {
    throw new Refused(400, 'malformed', 'The payload is no JSON')
  }
}

/** Verifies the binding to an external account (RFC 8555 section 7.3.4) and returns its key id. Throws `Refused`. */
export async function verifyBinding(
  binding: unknown,
  url: string,
  account: JWK,
  keys: Readonly<Record<string, string>>,
): Promise<string> {
  const { jws, kid = '', url: boundUrl } = takeApart(binding)
  const secret = Object.hasOwn(keys, kid) ? Buffer.from(keys[kid] ?? '', 'base64url') : undefined
  if (secret === undefined) throw new Refused(403, 'unauthorized', `The external account "${kid}" is unknown`)
  try {
    const { payload } = await flattenedVerify(jws, secret, { algorithms: ['HS256'] })
    const bound = JSON.parse(Buffer.from(payload).toString()) as JWK
    if (boundUrl !== url || (await thumbprintOf(bound)) !== (await thumbprintOf(account))) throw new Error('other key')
  } catch {
    throw new Refused(403, 'unauthorized', 'The binding to the external account does not verify')
  }
  return kid
}

/** The thumbprint of a key (RFC 7638). */
export function thumbprintOf(key: JWK): Promise<string> {
  return calculateJwkThumbprint(key, 'sha256')
}

function algorithmOf({ protected: header = '' }: FlattenedJWS): string {
  return String((JSON.parse(Buffer.from(header, 'base64url').toString()) as { alg?: unknown }).alg)
}
