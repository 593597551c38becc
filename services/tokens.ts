import { LRUCache } from 'lru-cache'
import { hash } from 'node:crypto'
import { normaliseOrigin } from './base-url.ts'
import { SoakpError } from './errors.ts'
import { newIdentifier } from './identifiers.ts'
import { checkPathPattern } from './path-pattern.ts'
import type { TokenLimits, TokenPolicy } from './policy.ts'
import type { Grant, Page, PageRequest, Store, TokenRecord } from './stores/index.ts'

/** A token as it may be shown: everything but the JWT. Times are Unix seconds. */
export interface Token extends TokenPolicy {
  readonly id: string
  readonly key_id: string
  readonly subject: string | null
  readonly name: string | null
  readonly created_at: number
  readonly expires_at: number
  readonly revoked_at: number | null
}

/** What is needed to mint a token. `expires_in` is in seconds. */
export interface NewToken {
  readonly key_id: string
  readonly subject?: string | undefined
  readonly name?: string | undefined
  readonly expires_in?: number | undefined
  readonly scope?: TokenPolicy['scope'] | undefined
  readonly origins?: readonly string[] | undefined
  readonly limits?: Partial<TokenLimits> | undefined
}

/** A token that was just minted, with its JWT: the only time that it is given away. */
export interface MintedToken extends Token {
  readonly token: string
}

/** A token that was presented and is good, with what its request needs. */
export interface AuthenticatedToken {
  readonly grant: Grant
  readonly policy: TokenPolicy
}

/** The claims of our JWTs (RFC 7519, RFC 9068). `key` names the key; it never contains it. */
export interface TokenClaims {
  readonly jti: string
  readonly sub: string
  readonly key: string
  readonly iat: number
  readonly nbf: number
  readonly exp: number
}

/** Signs and verifies JWTs with one fixed algorithm, type, issuer and audience. `verify` throws on anything else. */
export interface TokenSigner {
  sign(claims: TokenClaims): string
  verify(token: string): unknown
}

/** Mints, lists, revokes and authenticates tokens. */
export interface Tokens {
  /** Throws `SOAKP_KEY_NOT_FOUND`, `SOAKP_SCOPE_INVALID`, `SOAKP_ORIGIN_INVALID`. */
  mint(token: NewToken): Promise<MintedToken>
  list(page: PageRequest & { readonly keyId?: string | undefined }): Promise<Page<Token>>
  /** Throws `SOAKP_TOKEN_NOT_FOUND`, as does `revoke`. */
  find(id: string): Promise<Token>
  /** Revokes a token; doing it again changes nothing. */
  revoke(id: string): Promise<Token>
  /** Throws `SOAKP_TOKEN_REFUSED` (401) for every token that is not good now, always with the same words. */
  authenticate(token: string): AuthenticatedToken
}

/** What tokens need: `lifetime` in seconds and `limits` for tokens minted without, `now` in Unix seconds. */
export interface TokensOptions {
  readonly store: Store
  readonly signer: TokenSigner
  readonly lifetime: number
  readonly limits: TokenLimits
  readonly now: () => number
}

const LONGEST_TOKEN = 4_096
const REMEMBERED = 10_000

/** Creates the tokens service. */
export function createTokens({ store, signer, lifetime, limits, now }: TokensOptions): Tokens {
  const header = signer.sign({ jti: '', sub: '', key: '', iat: 0, nbf: 0, exp: 0 }).split('.')[0]
  // Signatures that were right, under the SHA-256 of the whole token. The row is read every time and is not kept here.
  const verified = new LRUCache<string, TokenClaims>({ max: REMEMBERED })
  const policies = new LRUCache<string, TokenPolicy>({ max: REMEMBERED })

  function claimsOf(token: string): TokenClaims {
    const digest = hash('sha256', token, 'base64')
    const known = verified.get(digest)
    if (known !== undefined) return known
    if (!isWellFormed(token, header)) throw refused()
    const claims = readClaims(signer, token)
    verified.set(digest, claims)
    return claims
  }

  function policyOf({ token_id, policy }: Grant): TokenPolicy {
    const known = policies.get(token_id)
    if (known !== undefined) return known
    const parsed = JSON.parse(policy) as TokenPolicy
    policies.set(token_id, parsed)
    return parsed
  }

  return {
    async mint(request) {
      const policy: TokenPolicy = {
        scope: { ...request.scope, ...(request.scope?.paths && { paths: request.scope.paths.map(checkPathPattern) }) },
        origins: [...new Set(request.origins?.map((origin) => normaliseOrigin(origin, 'origins')))],
        limits: { ...limits, ...request.limits },
      }
      if ((await store.findKey(request.key_id)) === undefined) throw keyNotFound(request.key_id)
      const time = now()
      const record: TokenRecord = {
        id: newIdentifier('tok'),
        key_id: request.key_id,
        subject: request.subject ?? null,
        name: request.name ?? null,
        policy: JSON.stringify(policy),
        created_at: time,
        expires_at: time + (request.expires_in ?? lifetime),
        revoked_at: null,
      }
      const token = signer.sign({
        jti: record.id,
        sub: record.subject ?? record.id,
        key: record.key_id,
        iat: time,
        nbf: time,
        exp: record.expires_at,
      })
      await store.insertToken(record, policy.origins)
      return { ...shown(record), token }
    },

    async list(page) {
      const { items, hasMore } = await store.listTokens(page)
      return { items: items.map(shown), hasMore }
    },

    find: async (id) => shown((await store.findToken(id)) ?? tokenNotFound(id)),

    revoke: async (id) => shown((await store.revokeToken(id, now())) ?? tokenNotFound(id)),

    authenticate(token) {
      if (token.length > LONGEST_TOKEN) throw refused()
      const claims = claimsOf(token)
      const time = now()
      const grant = claims.exp > time ? store.findGrant(claims.jti, time) : undefined
      if (grant === undefined || grant.key_id !== claims.key) throw refused()
      return { grant, policy: policyOf(grant) }
    },
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
    const { jti, sub, key, iat, nbf, exp } = claims
    const areStrings = [jti, sub, key].every((each) => typeof each === 'string')
    const areTimes = [iat, nbf, exp].every((each) => Number.isSafeInteger(each))
    if (areStrings && areTimes) return claims as TokenClaims
  } catch {
    // Every fault of a token gets the same answer, so that nothing can be learned from it.
  }
  throw refused()
}

function shown({ policy, ...record }: TokenRecord): Token {
  return { ...record, ...(JSON.parse(policy) as TokenPolicy) }
}

function refused(): SoakpError {
  const message = 'The token is not valid: it may be mistyped, expired or revoked. Ask for a new one.'
  return new SoakpError(401, 'SOAKP_TOKEN_REFUSED', message, { headers: { 'www-authenticate': 'Bearer' } })
}

function keyNotFound(id: string): SoakpError {
  const message = `There is no key ${id}. GET /soakp/keys lists them.`
  return new SoakpError(404, 'SOAKP_KEY_NOT_FOUND', message, { param: 'key_id' })
}

function tokenNotFound(id: string): never {
  throw new SoakpError(404, 'SOAKP_TOKEN_NOT_FOUND', `There is no token ${id}. GET /soakp/tokens lists them.`)
}
