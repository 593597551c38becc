import { test } from 'tap'
import type { Test } from 'tap'
import { createTokens } from '../services/tokens.ts'
import type { TokenClaims } from '../services/tokens.ts'
import { PLAIN, bearer, isRefused } from './support/refusals.ts'
import { startSoakp } from './support/soakp.ts'
import { eventually } from './support/wire.ts'

const REFUSAL = { statusCode: 401, code: 'SOAKP_TOKEN_REFUSED' }
const limits = { requests_per_minute: 60, requests_per_day: 1_000, parallel_requests: 5 }

/** Tokens as the server has them, but on a clock of the test's own. */
async function setUp(t: Test) {
  const { app, upstream } = await startSoakp(t, PLAIN)
  const { store, vault } = app.unsealed
  const { id: keyId } = await vault.save({ key: upstream.key })
  const clock = { time: app.unsealed.now() }
  let verifications = 0
  const sign = (claims: TokenClaims) => app.jwt.sign({ ...claims })
  const verify = (token: string): unknown => (verifications++, app.jwt.verify(token))
  const now = () => clock.time
  const tokens = createTokens({ store, signer: { sign, verify }, lifetime: 86_400, limits, now })
  const isGood = (token: string) => {
    try {
      tokens.authenticate(token)
      return true
    } catch (error) {
      t.match(error, REFUSAL)
      return false
    }
  }
  return { app, clock, isGood, keyId, sign, start: clock.time, tokens, verified: () => verifications }
}

const claimsOf = (token: string) =>
  JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as TokenClaims

test('a rotated token has a new JWT under the same id, and the old one works until the grace ends', async (t) => {
  const { clock, isGood, keyId, start, tokens, verified } = await setUp(t)
  const scope = { methods: ['GET'], paths: ['/models'] }
  clock.time = start - 10
  const minted = await tokens.mint({ key_id: keyId, subject: 'user-7', name: 'phone', scope })
  t.ok(isGood(minted.token))
  clock.time = start
  const rotated = await tokens.rotate(minted.id)
  const { token: oldToken, ...shown } = minted
  const { token: newToken, ...now } = rotated
  t.not(newToken, oldToken)
  t.same(now, { ...shown, generation: 2, previous_valid_until: start + 300 }, 'all else is as it was')
  t.same(await tokens.find(minted.id), now, 'and the JWT is shown this once only')
  t.same(claimsOf(newToken), { ...claimsOf(oldToken), gen: 2, iat: start, nbf: start })
  t.same(tokens.authenticate(newToken).policy, tokens.authenticate(oldToken).policy)
  t.equal(verified(), 2, 'the signature of the old one is remembered')
  clock.time = start + 299
  t.same([isGood(oldToken), isGood(newToken)], [true, true], 'in the last second of the grace')
  clock.time = start + 300
  t.same([isGood(oldToken), isGood(newToken)], [false, true], 'what is remembered does not prolong it')
  t.same([verified(), isGood(minted.token)], [2, false])
})

test('of one token two JWTs are good at most: the one before the last ends at once', async (t) => {
  const { isGood, keyId, tokens, clock } = await setUp(t)
  const { id, token } = await tokens.mint({ key_id: keyId })
  const other = await tokens.mint({ key_id: keyId })
  const jwts = [token]
  for (let round = 0; round < 4; round += 1) {
    jwts.push((await tokens.rotate(id, { grace_seconds: 86_400 })).token)
    const good = jwts.filter(isGood)
    t.same(good, jwts.slice(-2), `after ${round + 1} rotations`)
  }
  jwts.push((await tokens.rotate(id, { grace_seconds: 0 })).token)
  t.same(jwts.filter(isGood), jwts.slice(-1), 'without grace the last is alone')
  const both = (await Promise.all([tokens.rotate(id), tokens.rotate(id)])).toSorted(
    (a, b) => a.generation - b.generation,
  )
  t.same(
    both.map((each) => each.generation),
    [7, 8],
    'rotations at the same moment are two',
  )
  jwts.push(...both.map((each) => each.token))
  t.same(jwts.filter(isGood), jwts.slice(-2))
  await tokens.revoke(id)
  t.same(jwts.filter(isGood), [], 'a revocation ends them all')
  clock.time -= 1_000
  t.same(jwts.filter(isGood), [], 'a clock that goes back revives none')
  t.ok(isGood(other.token), 'other tokens go on')
})

test('a rotation does not prolong a token unless it is asked to, and then only the new JWT', async (t) => {
  const { clock, isGood, keyId, start, tokens } = await setUp(t)
  const plain = await tokens.mint({ key_id: keyId, expires_in: 60 })
  const rotated = await tokens.rotate(plain.id)
  t.match(rotated, { expires_at: start + 60, previous_valid_until: start + 60 }, 'nor does the grace')
  const longer = await tokens.mint({ key_id: keyId, expires_in: 60 })
  const prolonged = await tokens.rotate(longer.id, { expires_in: 1_000 })
  t.match(prolonged, { expires_at: start + 1_000, previous_valid_until: start + 60 })
  t.equal(claimsOf(prolonged.token).exp, start + 1_000)
  const shorter = await tokens.mint({ key_id: keyId })
  const shortened = await tokens.rotate(shorter.id, { expires_in: 30 })
  t.match(shortened, { expires_at: start + 30 })
  clock.time = start + 29
  for (const each of [plain, rotated, longer, prolonged, shorter, shortened]) t.ok(isGood(each.token))
  clock.time = start + 30
  t.same(
    [shorter, shortened].map((each) => isGood(each.token)),
    [false, false],
    'shortened, both end',
  )
  clock.time = start + 60
  t.same(
    [plain, rotated, longer, prolonged].map((each) => isGood(each.token)),
    [false, false, false, true],
  )
})

test('a token that has ended is not rotated, and nothing of it changes', async (t) => {
  const { app, clock, keyId, start, tokens } = await setUp(t)
  const other = await app.unsealed.vault.save({ key: 'sk-of-another' })
  const revoked = await tokens.mint({ key_id: keyId })
  const expired = await tokens.mint({ key_id: keyId, expires_in: 60 })
  const orphan = await tokens.mint({ key_id: other.id })
  await tokens.revoke(revoked.id)
  await app.unsealed.vault.remove(other.id)
  clock.time = start + 60
  const reasons = [
    [revoked, /was revoked\..*POST \/soakp\/tokens/],
    [orphan, /was revoked\./],
    [expired, /has expired\./],
  ] as const
  for (const [{ id }, message] of reasons) {
    const before = await tokens.find(id)
    const refusal = { statusCode: 409, code: 'SOAKP_TOKEN_ENDED', message }
    await t.rejects(tokens.rotate(id, { expires_in: 1_000 }), refusal)
    t.same(await tokens.find(id), before)
  }
  await t.rejects(tokens.rotate('tok_unknown'), { statusCode: 404, code: 'SOAKP_TOKEN_NOT_FOUND' })
})

test('no other number than the row’s opens anything, and a JWT from before rotation is the first', async (t) => {
  const { clock, isGood, keyId, sign, tokens } = await setUp(t)
  const { id, token } = await tokens.mint({ key_id: keyId })
  const claims = claimsOf(token)
  const { gen: _, ...unnumbered } = claims
  const withNumber = (gen: unknown) => sign({ ...claims, gen } as TokenClaims)
  t.same([isGood(sign(unnumbered)), isGood(withNumber(1))], [true, true])
  const absurd = [0, -1, 1.5, 2, 3, Number.MAX_SAFE_INTEGER, '1', null, true, [1], { gen: 1 }]
  for (const gen of absurd) t.notOk(isGood(withNumber(gen)), JSON.stringify(gen))
  await tokens.rotate(id)
  t.same([isGood(sign(unnumbered)), isGood(withNumber(1)), isGood(withNumber(2))], [true, true, true])
  for (const gen of absurd.filter((each) => each !== 2)) t.notOk(isGood(withNumber(gen)), JSON.stringify(gen))
  clock.time += 300
  t.same([isGood(sign(unnumbered)), isGood(withNumber(1)), isGood(withNumber(2))], [false, false, true])
})

test('by REST: both JWTs call and count together, and a revocation ends both and their streams', async (t) => {
  const logs: string[] = []
  const soakp = await startSoakp(t, { ...PLAIN, SOAKP_LOG_LEVEL: 'info' }, { logs })
  const { id, token: admins } = await soakp.saveKey()
  const { upstream } = soakp
  upstream.handle('GET', '/v1/stream', (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write('data: first\n\n')
  })
  const minted = await soakp.mint(id, { limits: { requests_per_day: 5 } })
  const path = `/soakp/tokens/${minted.id}/rotate`
  const open = async (token: string) => {
    const answer = await fetch(`${soakp.address}/v1/stream`, { headers: bearer(token) })
    return answer.body?.getReader() as ReadableStreamDefaultReader
  }
  const old = await open(minted.token)
  const time = Math.floor(Date.now() / 1_000)
  const { status, body } = await soakp.manage('POST', path, { grace_seconds: 600 })
  t.equal(status, 200)
  t.match(body, { object: 'token', id: minted.id, key_id: id, generation: 2, token: /^eyJ/ })
  t.ok(Math.abs(body.previous_valid_until - time - 600) < 60)
  const logged = logs.map((line) => JSON.parse(line)).find((each) => each.msg === 'token rotated')
  t.match(logged, { level: 'info', token: minted.id, key: id, generation: 2 })
  t.notMatch(logs.join(''), /eyJ/, 'no JWT is logged')
  const { token, ...shown } = body
  t.strictSame((await soakp.manage('GET', `/soakp/tokens/${minted.id}`)).body, { object: 'token', ...shown })
  const current = await open(token)
  for (const each of [old, current]) t.match(Buffer.from((await each.read()).value).toString(), /first/)
  const statusOf = async (jwt: string) => (await soakp.call('GET', '/v1/models', { headers: bearer(jwt) })).status
  t.strictSame([await statusOf(minted.token), await statusOf(token), await statusOf(token)], [200, 200, 200])
  t.equal(await statusOf(minted.token), 429, 'the limits are the token’s, not the JWT’s')
  t.equal(soakp.app.unsealed.liveCalls.count(minted.id), 2, 'a stream that ran before the rotation goes on')
  await soakp.manage('DELETE', `/soakp/tokens/${minted.id}`)
  for (const each of [old, current]) await t.rejects(each.read(), 'the stream is cut')
  await eventually('the end at the upstream', () => upstream.requests.filter(({ aborted }) => aborted).length === 2)
  t.strictSame([await statusOf(minted.token), await statusOf(token)], [401, 401])
  t.equal(await statusOf(admins), 200)
  isRefused(t, await soakp.manage('POST', path), { status: 409, code: 'SOAKP_TOKEN_ENDED' })
})

test('by REST: nothing need be said, what is wrong is named, and only the admin rotates', async (t) => {
  const soakp = await startSoakp(t, PLAIN)
  const { token, tokenId } = await soakp.saveKey()
  const path = `/soakp/tokens/${tokenId}/rotate`
  const unknown = await soakp.manage('POST', '/soakp/tokens/tok_unknown/rotate', {})
  isRefused(t, unknown, { status: 404, code: 'SOAKP_TOKEN_NOT_FOUND' })
  const invalid = { status: 400, code: 'SOAKP_REQUEST_INVALID' }
  for (const grace_seconds of [-1, 86_401, 1.5, '300', null, true]) {
    const answer = await soakp.manage('POST', path, { grace_seconds })
    isRefused(t, answer, { ...invalid, param: 'grace_seconds' }, JSON.stringify(grace_seconds))
  }
  isRefused(t, await soakp.manage('POST', path, { expires_in: 0 }), { ...invalid, param: 'expires_in' })
  isRefused(t, await soakp.manage('POST', path, { grace: 5 }), { ...invalid, param: 'grace' })
  isRefused(t, await soakp.manage('POST', path, []), invalid)
  const byItself = await soakp.call('POST', path, { headers: bearer(token) })
  isRefused(t, byItself, { status: 401, code: 'SOAKP_ADMIN_REFUSED' })
  t.equal((await soakp.manage('GET', `/soakp/tokens/${tokenId}`)).body.generation, 1, 'none of that rotated it')
  const time = Math.floor(Date.now() / 1_000)
  for (const [index, body] of [undefined, {}, { grace_seconds: 0 }].entries()) {
    const answer = await soakp.manage('POST', path, body)
    t.match([answer.status, answer.body.generation], [200, index + 2])
    const grace = body?.grace_seconds ?? 300
    t.ok(Math.abs(answer.body.previous_valid_until - time - grace) < 60, `${grace} s`)
  }
})
