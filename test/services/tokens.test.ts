import { test } from 'tap'
import type { Test } from 'tap'
import { SoakpError } from '../../services/errors.ts'
import { createTokens } from '../../services/tokens.ts'
import type { TokenClaims, TokensOptions } from '../../services/tokens.ts'
import { forgeries } from '../support/forgeries.ts'
import { startSoakp } from '../support/soakp.ts'
import type { TestSoakp } from '../support/soakp.ts'

const REFUSAL = {
  statusCode: 401,
  code: 'SOAKP_TOKEN_REFUSED',
  message: 'The token is not valid: it may be mistyped, expired or revoked. Ask for a new one.',
}
const limits = { requests_per_minute: 60, requests_per_day: 1_000, parallel_requests: 5 }

/** Tokens as the server has them, but on a clock of the test's own. */
function tokensOf({ app }: TestSoakp, options: Partial<TokensOptions> = {}) {
  const signer = {
    sign: (claims: TokenClaims) => app.jwt.sign({ ...claims }),
    verify: (token: string): unknown => app.jwt.verify(token),
  }
  return createTokens({ store: app.unsealed.store, signer, lifetime: 3_600, limits, now: app.unsealed.now, ...options })
}

async function setUp(t: Test) {
  const soakp = await startSoakp(t)
  const { id: keyId } = await soakp.app.unsealed.vault.save({ key: soakp.upstream.key })
  return { soakp, keyId, store: soakp.app.unsealed.store }
}

const partsOf = (token: string) => token.split('.').map((part) => Buffer.from(part, 'base64url').toString())

test('a minted token says whose and what for it is, and nothing of the key', async (t) => {
  const { soakp, keyId, store } = await setUp(t)
  const clock = { time: soakp.app.unsealed.now() }
  const tokens = tokensOf(soakp, { now: () => clock.time })
  const minted = await tokens.mint({ key_id: keyId, subject: 'user-7', name: 'phone', expires_in: 60 })
  const [header = '', payload = ''] = partsOf(minted.token)
  t.same(JSON.parse(header), { alg: 'HS256', typ: 'at+jwt', kid: 'token-signing/1' })
  const iss = `urn:soakp:${soakp.app.unsealed.instance}`
  const times = { iat: clock.time, nbf: clock.time, exp: clock.time + 60 }
  t.same(JSON.parse(payload), { jti: minted.id, sub: 'user-7', key: keyId, gen: 1, ...times, iss, aud: 'soakp' })
  const { token, ...shown } = minted
  const own = { id: minted.id, key_id: keyId, subject: 'user-7', name: 'phone', scope: {}, origins: [], limits }
  const state = { revoked_at: null, generation: 1, previous_valid_until: null }
  t.same(shown, { ...own, created_at: clock.time, expires_at: clock.time + 60, ...state })
  t.same(await tokens.find(minted.id), shown, 'the JWT is shown once only')
  t.notMatch(JSON.stringify([header, payload, await store.findToken(minted.id)]), soakp.upstream.key)
  t.match(tokens.authenticate(token), { grant: { token_id: minted.id, key_id: keyId }, policy: { limits } })
  const plain = await tokens.mint({ key_id: keyId, limits: { parallel_requests: 1 } })
  t.match(JSON.parse(partsOf(plain.token)[1] ?? ''), { sub: plain.id, exp: clock.time + 3_600 })
  t.same(plain.limits, { ...limits, parallel_requests: 1 }, 'limits that are not asked for are the default ones')
})

test('expiry and revocation hold from the next call, although the signature is remembered', async (t) => {
  const { soakp, keyId } = await setUp(t)
  const clock = { time: soakp.app.unsealed.now() }
  const start = clock.time
  const tokens = tokensOf(soakp, { now: () => clock.time })
  const [short, long] = [await tokens.mint({ key_id: keyId, expires_in: 60 }), await tokens.mint({ key_id: keyId })]
  const claims = JSON.parse(partsOf(short.token)[1] ?? '') as TokenClaims
  const shorter = soakp.app.jwt.sign({ ...claims, exp: start + 30 })
  t.ok(tokens.authenticate(shorter))
  clock.time = start + 30
  t.throws(() => tokens.authenticate(shorter), REFUSAL, 'when the JWT itself says so, whatever its row says')
  clock.time = start + 59
  t.ok(tokens.authenticate(short.token), 'in its last second')
  clock.time = start + 60
  t.throws(() => tokens.authenticate(short.token), REFUSAL, 'when the clock says expires_at')
  t.ok(tokens.authenticate(long.token))
  t.equal((await tokens.revoke(long.id)).revoked_at, start + 60)
  t.throws(() => tokens.authenticate(long.token), REFUSAL)
  clock.time = start + 90
  t.equal((await tokens.revoke(long.id)).revoked_at, start + 60, 'revoked again, the first time stays')
  clock.time = start
  t.throws(() => tokens.authenticate(long.token), REFUSAL, 'a clock that goes back revives nothing')
  await t.rejects(tokens.revoke('tok_unknown'), { statusCode: 404, code: 'SOAKP_TOKEN_NOT_FOUND' })
  await t.rejects(tokens.find('tok_unknown'), { statusCode: 404, code: 'SOAKP_TOKEN_NOT_FOUND' })
})

test('a deleted key ends its tokens, and another token goes on with its own policy', async (t) => {
  const { soakp, keyId } = await setUp(t)
  const { vault } = soakp.app.unsealed
  const other = await vault.save({ key: 'sk-other-key' })
  const tokens = tokensOf(soakp)
  const narrow = await tokens.mint({ key_id: keyId, scope: { methods: ['GET'], paths: ['/models/**'] } })
  const wide = await tokens.mint({ key_id: other.id, origins: ['https://App.example.com/', 'https://app.example.com'] })
  for (let time = 0; time < 2; time += 1) {
    const scope = { methods: ['GET'], paths: ['/models/**'] }
    t.same(tokens.authenticate(narrow.token).policy, { scope, origins: [], limits })
    t.same(tokens.authenticate(wide.token).policy, { scope: {}, origins: ['https://app.example.com'], limits })
  }
  t.same((await tokens.list({ limit: 9, keyId })).items, [await tokens.find(narrow.id)])
  await vault.remove(keyId)
  t.throws(() => tokens.authenticate(narrow.token), REFUSAL)
  t.ok(tokens.authenticate(wide.token))
  await vault.replace(other.id, 'sk-replaced')
  t.equal(tokens.authenticate(wide.token).grant.version, 2, 'a replaced key keeps its tokens')
})

test('a token that asks for what is not understood is not minted', async (t) => {
  const { soakp, keyId } = await setUp(t)
  const tokens = tokensOf(soakp)
  const before = (await tokens.list({ limit: 9 })).items.length
  await t.rejects(tokens.mint({ key_id: 'key_unknown' }), {
    statusCode: 404,
    code: 'SOAKP_KEY_NOT_FOUND',
    param: 'key_id',
  })
  const scope = { paths: ['/models', '/v1/models'] }
  await t.rejects(tokens.mint({ key_id: keyId, scope }), { statusCode: 400, code: 'SOAKP_SCOPE_INVALID' })
  for (const origin of ['*', 'null', '', 'app.example.com', 'https://app.example.com/page', 'https://*.example.com']) {
    await t.rejects(tokens.mint({ key_id: keyId, origins: [origin] }), {
      statusCode: 400,
      code: 'SOAKP_ORIGIN_INVALID',
    })
  }
  t.equal((await tokens.list({ limit: 9 })).items.length, before)
})

test('every forged token is refused with one and the same error', async (t) => {
  const { soakp, keyId } = await setUp(t)
  const { app } = soakp
  const { secrets, vault } = app.unsealed
  const { key } = (await secrets.find('token-signing/1')) as { key: string }
  const otherKey = await vault.save({ key: 'sk-of-another' })
  const [live, revoked] = [await app.tokens.mint({ key_id: keyId }), await app.tokens.mint({ key_id: keyId })]
  const foreign = await app.tokens.mint({ key_id: otherKey.id })
  await app.tokens.revoke(revoked.id)
  const signingKey = Buffer.from(key, 'base64url')
  const ids = { revoked: revoked.id, foreign: foreign.id, foreignKey: otherKey.id }
  const { control, forged } = forgeries({ token: live.token, signingKey, ids })
  t.match(app.tokens.authenticate(control), { grant: { token_id: live.id } }, 'the forger has the right key')
  t.ok(forged.size >= 150, `${forged.size} forgeries`)
  const seen = new Map<string, string[]>()
  for (const [title, token] of forged) {
    const outcome = outcomeOf(() => app.tokens.authenticate(token))
    seen.set(outcome, [...(seen.get(outcome) ?? []), title])
    t.throws(() => app.tokens.authenticate(token), REFUSAL, title)
  }
  t.equal(seen.size, 1, 'nothing tells one refusal from another')
  t.ok(app.tokens.authenticate(live.token), 'the token itself still works')
})

function outcomeOf(call: () => unknown): string {
  try {
    call()
    return 'accepted'
  } catch (error) {
    if (!(error instanceof SoakpError)) return `threw ${String(error)}`
    const { statusCode, code, message, param, headers, cause } = error
    return JSON.stringify([statusCode, code, message, param, headers, String(cause)])
  }
}

test('more tokens than are remembered neither revive a revoked one nor lock a good one out', async (t) => {
  const { soakp, keyId } = await setUp(t)
  let verifications = 0
  const verify = (token: string): unknown => (verifications++, soakp.app.jwt.verify(token))
  const sign = (claims: TokenClaims) => soakp.app.jwt.sign({ ...claims })
  const tokens = tokensOf(soakp, { signer: { sign, verify } })
  const [good, revoked] = [await tokens.mint({ key_id: keyId }), await tokens.mint({ key_id: keyId })]
  for (const { token } of [good, revoked]) tokens.authenticate(token)
  await tokens.revoke(revoked.id)
  t.throws(() => tokens.authenticate(revoked.token), REFUSAL)
  t.equal(verifications, 2, 'a signature is verified once')
  const claims = JSON.parse(partsOf(good.token)[1] ?? '') as TokenClaims
  for (let number = 0; number < 10_001; number += 1) tokens.authenticate(sign({ ...claims, sub: `user-${number}` }))
  verifications = 0
  t.throws(() => tokens.authenticate(revoked.token), REFUSAL)
  t.ok(tokens.authenticate(good.token))
  t.equal(verifications, 2, 'both had been forgotten')
})
