import { LRUCache } from 'lru-cache'
import { normaliseOrigin } from './base-url.ts'
import { SoakpError } from './errors.ts'
import { newIdentifier } from './identifiers.ts'
import { checkPathPattern } from './path-pattern.ts'
import type { TokenLimits, TokenPolicy } from './policy.ts'
import type { Grant, NewTokenRecord, Page, PageRequest, Store, TokenRecord } from './stores/index.ts'
import { createClaimsReader, tokenRefused } from './token-claims.ts'
import type { TokenClaims, TokenSigner } from './token-claims.ts'

export type { TokenClaims, TokenSigner } from './token-claims.ts'

/** A token as it may be shown: everything but the JWT. Times are Unix seconds. */
export interface Token extends TokenPolicy {
  readonly id: string
  readonly key_id: string
  readonly subject: string | null
  readonly name: string | null
  readonly created_at: number
  readonly expires_at: number
  readonly revoked_at: number | null
  /** Which of its JWTs is the newest, from 1; each rotation makes the next. */
  readonly generation: number
  /** Until when the JWT before the newest is good; null before the first rotation. */
  readonly previous_valid_until: number | null
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

/** How a token is rotated. Both are in seconds; without `expires_in` the token ends when it would have. */
export interface RotationRequest {
  readonly grace_seconds?: number | undefined
  readonly expires_in?: number | undefined
}

/** A token that was just minted or rotated, with its JWT: the only time that it is given away. */
export interface MintedToken extends Token {
  readonly token: string
}

/** A token that was presented and is good, with what its request needs. */
export interface AuthenticatedToken {
  readonly grant: Grant
  readonly policy: TokenPolicy
}

/** Mints, lists, rotates, revokes and authenticates tokens. */
export interface Tokens {
  /** Throws `SOAKP_KEY_NOT_FOUND`, `SOAKP_SCOPE_INVALID`, `SOAKP_ORIGIN_INVALID`. */
  mint(token: NewToken): Promise<MintedToken>
  list(page: PageRequest & { readonly keyId?: string | undefined }): Promise<Page<Token>>
  /** Throws `SOAKP_TOKEN_NOT_FOUND`, as does `revoke`. */
  find(id: string): Promise<Token>
  /** Revokes a token; doing it again changes nothing. */
  revoke(id: string): Promise<Token>
  /**
   * Gives a token a new JWT. The one before stays good for the grace, 300 s unless asked; one that was still in its
   * grace ends at once, so that two are good at most. Throws `SOAKP_TOKEN_NOT_FOUND` (404), or `SOAKP_TOKEN_ENDED`
   * (409) for a token that was revoked or has expired.
   */
  rotate(id: string, request?: RotationRequest): Promise<MintedToken>
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

const GRACE_SECONDS = 300
const REMEMBERED = 10_000

/** Creates the tokens service. */
export function createTokens({ store, signer, lifetime, limits, now }: TokensOptions): Tokens {
  // Only that a signature was right is remembered. The row is read every time and is not kept here.
  const claimsOf = createClaimsReader(signer)
  const policies = new LRUCache<string, TokenPolicy>({ max: REMEMBERED })

  function policyOf({ token_id, policy }: Grant): TokenPolicy {
    const known = policies.get(token_id)
    if (known !== undefined) return known
    const parsed = JSON.parse(policy) as TokenPolicy
    policies.set(token_id, parsed)
    return parsed
  }

  function sign({ id, subject, key_id, expires_at }: NewTokenRecord, gen: number, time: number): string {
    return signer.sign({ jti: id, sub: subject ?? id, key: key_id, gen, iat: time, nbf: time, exp: expires_at })
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
      const record: NewTokenRecord = {
        id: newIdentifier('tok'),
        key_id: request.key_id,
        subject: request.subject ?? null,
        name: request.name ?? null,
        policy: JSON.stringify(policy),
        created_at: time,
        expires_at: time + (request.expires_in ?? lifetime),
        revoked_at: null,
      }
      const token = sign(record, 1, time)
      await store.insertToken(record, policy.origins)
      return { ...shown({ ...record, generation: 1, previous_until: null }), token }
    },

    async list(page) {
      const { items, hasMore } = await store.listTokens(page)
      return { items: items.map(shown), hasMore }
    },

    find: async (id) => shown((await store.findToken(id)) ?? tokenNotFound(id)),

    revoke: async (id) => shown((await store.revokeToken(id, now())) ?? tokenNotFound(id)),

    async rotate(id, { grace_seconds = GRACE_SECONDS, expires_in } = {}) {
      const time = now()
      const expiresAt = expires_in === undefined ? undefined : time + expires_in
      const record = await store.rotateToken(id, { previousUntil: time + grace_seconds, expiresAt }, time)
      if (record === undefined) throw tokenEnded((await store.findToken(id)) ?? tokenNotFound(id))
      return { ...shown(record), token: sign(record, record.generation, time) }
    },

    authenticate(token) {
      const claims = claimsOf(token)
      const time = now()
      const grant = claims.exp > time ? store.findGrant(claims.jti, time) : undefined
      if (grant === undefined || grant.key_id !== claims.key || !isCurrent(claims, grant, time)) throw tokenRefused()
      return { grant, policy: policyOf(grant) }
    },
  }
}

/** Only the row tells which JWTs of a token are good: the newest, and the one before it until its grace ends. */
function isCurrent({ gen = 1 }: TokenClaims, { generation, previous_until }: Grant, time: number): boolean {
  return gen === generation || (gen === generation - 1 && previous_until !== null && previous_until > time)
}

function shown({ policy, previous_until, ...record }: TokenRecord): Token {
  return { ...record, previous_valid_until: previous_until, ...(JSON.parse(policy) as TokenPolicy) }
}

function keyNotFound(id: string): SoakpError {
  const message = `There is no key ${id}. GET /soakp/keys lists them.`
  return new SoakpError(404, 'SOAKP_KEY_NOT_FOUND', message, { param: 'key_id' })
}

function tokenNotFound(id: string): never {
  throw new SoakpError(404, 'SOAKP_TOKEN_NOT_FOUND', `There is no token ${id}. GET /soakp/tokens lists them.`)
}

function tokenEnded({ id, revoked_at }: TokenRecord): SoakpError {
  const how = revoked_at === null ? 'has expired' : 'was revoked'
  return new SoakpError(409, 'SOAKP_TOKEN_ENDED', `The token ${id} ${how}. Mint another: POST /soakp/tokens.`)
}
