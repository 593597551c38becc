import { LRUCache } from 'lru-cache'
import { hash } from 'node:crypto'
import { SoakpError } from './errors.ts'

/** The claims of our JWTs (RFC 7519, RFC 9068). `key` names the key; it never contains it. */
export interface TokenClaims {
  readonly jti: string
  readonly sub: string
  readonly key: string
  /** Which JWT of its token this is, from 1; absent in the first one of a token from before rotation. */
  readonly gen?: number
  readonly iat: number
  readonly nbf: number
  readonly exp: number
}

/** Signs and verifies JWTs with one fixed algorithm, type, issuer and audience. `verify` throws on anything else. */
export interface TokenSigner {
  sign(claims: TokenClaims): string
  verify(token: string): unknown
}

const LONGEST_TOKEN = 4_096
const REMEMBERED = 10_000

/**
 * Creates the function that returns the claims of a JWT of ours, whether or not it is good now. It throws
 * `SOAKP_TOKEN_REFUSED` (401) for every other text, and remembers, under the SHA-256 of the whole, which signatures
 * were right.
 */
export function createClaimsReader(signer: TokenSigner): (token: string) => TokenClaims {
  const header = signer.sign({ jti: '', sub: '', key: '', gen: 0, iat: 0, nbf: 0, exp: 0 }).split('.')[0]
  const verified = new LRUCache<string, TokenClaims>({ max: REMEMBERED })

  return (token) => {
    if (token.length > LONGEST_TOKEN) throw tokenRefused()
    const digest = hash('sha256', token, 'base64')
    const known = verified.get(digest)
    if (known !== undefined) return known
    if (!isWellFormed(token, header)) throw tokenRefused()
    const claims = readClaims(signer, token)
    verified.set(digest, claims)
    return claims
  }
}

/** Refuses before any cryptography: three parts, exactly our header, the rest in canonical base64url, a signature of HS256. */
function isWellFormed(token: string, header: string | undefined): boolean {
  const [first, payload, signature, ...rest] = token.split('.')
  if (first !== header || payload === undefined || signature === undefined || rest.length > 0) return false
  return payload !== '' && isCanonical(payload) && signature.length === 43 && isCanonical(signature)
}

/** Node's decoder skips what is not base64url and ignores unused bits (RFC 4648 section 3.5). */
function isCanonical(text: string): boolean {
  return Buffer.from(text, 'base64url').toString('base64url') === text
}

function readClaims(signer: TokenSigner, token: string): TokenClaims {
  try {
    const claims = signer.verify(token) as Partial<TokenClaims>
    const { jti, sub, key, gen = 1, iat, nbf, exp } = claims
    const areStrings = [jti, sub, key].every((each) => typeof each === 'string')
    const areNumbers = [gen, iat, nbf, exp].every((each) => Number.isSafeInteger(each))
    if (areStrings && areNumbers) return claims as TokenClaims
  } catch {
    // Every fault of a token gets the same answer, so that nothing can be learned from it.
  }
  throw tokenRefused()
}

/** Creates the one error for every token that is not good. */
export function tokenRefused(): SoakpError {
  const message = 'The token is not valid: it may be mistyped, expired or revoked. Ask for a new one.'
  return new SoakpError(401, 'SOAKP_TOKEN_REFUSED', message, { headers: { 'www-authenticate': 'Bearer' } })
}
