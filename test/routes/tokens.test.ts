import { test } from 'tap'
import { OK, RAW_KEY, startPassing } from '../support/passing.ts'
import { PLAIN, bearer, isRefused } from '../support/refusals.ts'
import { startSoakp } from '../support/soakp.ts'
import { exchange } from '../support/wire.ts'

const DAY_SECONDS = 86_400

test('a token without wishes has the lifetime and the limits of the configuration', async (t) => {
  const soakp = await startSoakp(t, {
    ...PLAIN,
    SOAKP_TOKEN_DAYS: '7',
    SOAKP_TOKEN_REQUESTS_PER_MINUTE: '11',
    SOAKP_TOKEN_REQUESTS_PER_DAY: '12',
    SOAKP_TOKEN_PARALLEL_REQUESTS: '13',
  })
  const { id } = await soakp.saveKey()
  const { status, body } = await soakp.manage('POST', '/soakp/tokens', { key_id: id })
  t.equal(status, 201)
  t.match(body, { object: 'token', id: /^tok_[\w-]{22}$/, key_id: id, subject: null, name: null, revoked_at: null })
  t.match(body, { scope: {}, origins: [] })
  t.strictSame(body.limits, { requests_per_minute: 11, requests_per_day: 12, parallel_requests: 13 })
  t.equal(body.expires_at - body.created_at, 7 * DAY_SECONDS)
  t.ok(Math.abs(body.created_at - Date.now() / 1000) < 60, 'times are Unix seconds')
})

test('without a configuration a token lives 30 days', async (t) => {
  const soakp = await startSoakp(t, PLAIN)
  const { token } = (await soakp.manage('POST', '/soakp/keys', { key: soakp.upstream.key })).body
  t.equal(token.expires_at - token.created_at, 30 * DAY_SECONDS, 'the first token of a key, too')
  t.strictSame(token.limits, { requests_per_minute: 600, requests_per_day: 20_000, parallel_requests: 100 })
})

test('a token is what was wished for, and its JWT is shown this once only', async (t) => {
  const soakp = await startSoakp(t, PLAIN)
  const { id } = await soakp.saveKey()
  const wishes = {
    key_id: id,
    subject: 'user-7',
    name: 'The app of Zoë',
    expires_in: 3600,
    scope: { methods: ['GET', 'POST'], paths: ['/chat/completions', '/files/*/content', '/audio/**'] },
    origins: ['https://app.example.com', 'http://localhost:5173'],
    limits: { requests_per_minute: 5 },
  }
  const { body } = await soakp.manage('POST', '/soakp/tokens', wishes)
  const { token, ...shown } = body
  const { expires_in, ...kept } = wishes
  t.match(shown, { ...kept, limits: { requests_per_minute: 5, requests_per_day: 20_000, parallel_requests: 100 } })
  t.equal(shown.expires_at - shown.created_at, expires_in)
  t.strictSame((await soakp.manage('GET', `/soakp/tokens/${shown.id}`)).body, shown, 'everything but the JWT')

  const [header = '', claims = ''] = token.split('.').map((part: string) => Buffer.from(part, 'base64url').toString())
  t.match(JSON.parse(header), { alg: 'HS256', typ: 'at+jwt', kid: /./ })
  t.match(JSON.parse(claims), { jti: shown.id, sub: 'user-7', key: id, aud: 'soakp', exp: shown.expires_at })
  t.notMatch(claims, soakp.upstream.key, 'the token names the key and does not contain it')
})

test('a token with a wrong field is refused by the name of the field', async (t) => {
  const soakp = await startSoakp(t, PLAIN)
  const { id } = await soakp.saveKey()
  const invalid = 'SOAKP_REQUEST_INVALID'
  const cases: [body: object, param: string, code?: string, status?: number][] = [
    [{ key_id: undefined }, 'key_id'],
    [{ key_id: 5 }, 'key_id'],
    [{ key_id: 'key_unknown' }, 'key_id', 'SOAKP_KEY_NOT_FOUND', 404],
    [{ expires_in: 0 }, 'expires_in'],
    [{ expires_in: -1 }, 'expires_in'],
    [{ expires_in: 1.5 }, 'expires_in'],
    [{ expires_in: '60' }, 'expires_in'],
    [{ expires_in: null }, 'expires_in'],
    [{ expires_in: 365 * DAY_SECONDS + 1 }, 'expires_in'],
    [{ subject: '' }, 'subject'],
    [{ name: 'x'.repeat(201) }, 'name'],
    [{ scopes: {} }, 'scopes'],
    [{ scope: { methods: [] } }, 'scope.methods'],
    [{ scope: { methods: ['get'] } }, 'scope.methods.0'],
    [{ scope: { methods: ['GET', 'GET'] } }, 'scope.methods'],
    [{ scope: { models: ['x'] } }, 'scope.models'],
    [{ scope: { paths: [] } }, 'scope.paths'],
    [{ scope: { paths: ['/v1/models'] } }, 'scope.paths', 'SOAKP_SCOPE_INVALID'],
    [{ scope: { paths: ['models'] } }, 'scope.paths', 'SOAKP_SCOPE_INVALID'],
    [{ scope: { paths: ['/files/**/content'] } }, 'scope.paths', 'SOAKP_SCOPE_INVALID'],
    [{ scope: { paths: ['/chat*'] } }, 'scope.paths', 'SOAKP_SCOPE_INVALID'],
    [{ origins: ['*'] }, 'origins', 'SOAKP_ORIGIN_INVALID'],
    [{ origins: ['null'] }, 'origins', 'SOAKP_ORIGIN_INVALID'],
    [{ origins: ['https://app.example.com/page'] }, 'origins', 'SOAKP_ORIGIN_INVALID'],
    [{ origins: 'https://app.example.com' }, 'origins'],
    [{ limits: { requests_per_minute: 0 } }, 'limits.requests_per_minute'],
    [{ limits: { requests_per_day: 1.5 } }, 'limits.requests_per_day'],
    [{ limits: { parallel_requests: 'many' } }, 'limits.parallel_requests'],
    [{ limits: { tokens_per_minute: 5 } }, 'limits.tokens_per_minute'],
  ]
  for (const [body, param, code = invalid, status = 400] of cases) {
    const answer = await soakp.manage('POST', '/soakp/tokens', { key_id: id, ...body })
    isRefused(t, answer, { status, code, param }, JSON.stringify(body))
  }
  t.equal((await soakp.manage('GET', '/soakp/tokens')).body.data.length, 1, 'none was minted')
})

test('a token is good from one second to 365 days, and not a second longer', async (t) => {
  const soakp = await startSoakp(t, PLAIN)
  const { id } = await soakp.saveKey()
  const longest = await soakp.mint(id, { expires_in: 365 * DAY_SECONDS })
  const shortest = await soakp.mint(id, { expires_in: 60 })
  const statusOf = async ({ token }: { token: string }) =>
    (await soakp.call('GET', '/v1/models', { headers: bearer(token) })).status
  t.strictSame([await statusOf(longest), await statusOf(shortest)], [200, 200])
  const { now } = Date
  t.teardown(() => void (Date.now = now))
  Date.now = () => now() + 61_000
  t.strictSame([await statusOf(longest), await statusOf(shortest)], [200, 401])
  Date.now = () => now() + 365 * DAY_SECONDS * 1_000 + 1_000
  t.equal(await statusOf(longest), 401)
})

test('tokens are listed newest first, page by page and by key, without their JWTs', async (t) => {
  const soakp = await startSoakp(t, PLAIN)
  const one = await soakp.saveKey()
  const other = await soakp.saveKey()
  const ids = [one.tokenId, other.tokenId]
  for (let count = 0; count < 4; count += 1) ids.push((await soakp.mint(one.id)).id)
  ids.reverse()
  const page = async (query: string) => {
    const { body } = await soakp.manage('GET', `/soakp/tokens${query}`)
    t.notMatch(JSON.stringify(body), /eyJ/, 'no JWT')
    return [...body.data.map((token: { id: string }) => token.id), body.has_more]
  }
  t.strictSame(await page(''), [...ids, false])
  t.strictSame(await page('?limit=2'), [...ids.slice(0, 2), true])
  t.strictSame(await page(`?limit=3&after=${ids[2]}`), [...ids.slice(3), false])
  t.strictSame(await page(`?key_id=${other.id}`), [other.tokenId, false])
  t.strictSame(await page(`?key_id=${one.id}&limit=1&after=${ids[3]}`), [one.tokenId, false])
  t.strictSame(await page('?key_id=key_unknown'), [false])
  const wrong = await soakp.manage('GET', '/soakp/tokens?limit=1000')
  isRefused(t, wrong, { status: 400, code: 'SOAKP_REQUEST_INVALID', param: 'limit' })
  const unknown = await soakp.manage('GET', '/soakp/tokens?after=tok_unknown')
  isRefused(t, unknown, { status: 404, code: 'SOAKP_TOKEN_NOT_FOUND' })
})

test('a revoked token is refused at once, revoking again is the same, and others go on', async (t) => {
  const soakp = await startSoakp(t, PLAIN)
  const { id, token } = await soakp.saveKey()
  const ended = await soakp.mint(id)
  t.equal((await soakp.call('GET', '/v1/models', { headers: bearer(ended.token) })).status, 200)
  const first = await soakp.manage('DELETE', `/soakp/tokens/${ended.id}`)
  t.strictSame([first.status, first.body], [200, { id: ended.id, object: 'token', deleted: true }])
  soakp.upstream.clear()
  for (const path of ['/v1/models', '/openai/models', '/soakp/me']) {
    const answer = await soakp.call('GET', path, { headers: bearer(ended.token) })
    isRefused(t, answer, { status: 401, code: 'SOAKP_TOKEN_REFUSED' }, path)
  }
  t.equal(soakp.upstream.requests.length, 0)
  const { revoked_at } = (await soakp.manage('GET', `/soakp/tokens/${ended.id}`)).body
  t.type(revoked_at, 'number')
  const second = await soakp.manage('DELETE', `/soakp/tokens/${ended.id}`)
  t.strictSame([second.status, second.body], [200, first.body])
  t.equal((await soakp.manage('GET', `/soakp/tokens/${ended.id}`)).body.revoked_at, revoked_at)
  t.equal((await soakp.call('GET', '/v1/models', { headers: bearer(token) })).status, 200)
  for (const method of ['GET', 'DELETE']) {
    const answer = await soakp.manage(method, '/soakp/tokens/tok_unknown')
    isRefused(t, answer, { status: 404, code: 'SOAKP_TOKEN_NOT_FOUND' }, method)
  }
})

test('a scope holds to its methods and paths, and to no other reading of a path', async (t) => {
  const soakp = await startSoakp(t, PLAIN)
  const { id } = await soakp.saveKey()
  soakp.upstream.handle('*', '*', (_request, response) => void response.end('{}'))
  const paths = ['/models', '/files/*/content', '/audio/**', '/my docs']
  const { token } = await soakp.mint(id, { scope: { methods: ['GET', 'DELETE'], paths } })
  const statusOf = async (request: string) => {
    const answer = await exchange(t, soakp, [`${request} HTTP/1.1`, `Authorization: Bearer ${token}`])
    return `${answer.slice(9, 12)} ${/SOAKP_\w+/.exec(answer)?.[0] ?? ''}`.trim()
  }
  for (const passed of [
    'GET /v1/models',
    'GET /openai/models?limit=1&path=/../x',
    'HEAD /v1/models',
    'DELETE /v1/models',
    'GET /v1/mod%65ls',
    'GET /v1/files/file-1/content',
    'GET /v1/files/file%20%3F/content',
    'GET /v1/audio',
    'GET /v1/audio/a/b',
    'GET /v1/my%20docs',
  ]) {
    t.equal(await statusOf(passed), '200', passed)
  }
  soakp.upstream.clear()
  for (const refused of ['POST /v1/models', 'OPTIONS /v1/models', 'PROPFIND /v1/models', 'GET /v1', 'GET /v1/']) {
    t.equal(await statusOf(refused), '403 SOAKP_SCOPE_REFUSED', refused)
  }
  for (const path of [
    '/Models',
    '/models/',
    '//models',
    '/models/x',
    '/models%2f',
    '/models%00',
    '/models;x',
    '/files/content',
    '/files//content',
    '/files/a/b/content',
    '/files/a%2fb/content',
    '/files/a%252fb/content',
    '/files/a%5cb/content',
    '/audio//x',
    '/audio/%252e%252e/models',
    '/chat/completions',
    '/my%2520docs',
  ]) {
    t.equal(await statusOf(`GET /v1${path}`), '403 SOAKP_SCOPE_REFUSED', path)
  }
  for (const path of ['/audio/../chat', '/audio/..%2fchat', '/audio/%2e%2e/chat', '/audio/%ff', '/audio/%zz']) {
    t.match(await statusOf(`GET /v1${path}`), /^40[034]/, path)
  }
  t.equal(soakp.upstream.requests.length, 0, 'the upstream heard nothing of them')
})

test('a token for /files/*/content reads no list of files behind a #, at which nginx ends the path', async (t) => {
  const { soakp, upstream } = await startPassing(t)
  upstream.answer(({ wire }) => wire.write(OK))
  const { id } = await soakp.saveKey({ key: RAW_KEY })
  const { token } = await soakp.mint(id, { scope: { paths: ['/files/*/content', '/threads/**'] } })
  const call = (path: string) => exchange(t, soakp, [`GET /v1${path} HTTP/1.1`, `Authorization: Bearer ${token}`])
  for (const path of ['/files/#/content', '/files/a#/content', '/threads/a#/runs', '/threads#', '/#/threads']) {
    t.match(await call(path), /^HTTP\/1\.1 403 [^]*SOAKP_SCOPE_REFUSED/, path)
  }
  t.equal(upstream.requests.length, 0, 'the upstream hears of none')
  t.match(await call('/files/a/content?part=#2'), /^HTTP\/1\.1 200 /)
  t.match(await call('/threads/a%23b'), /^HTTP\/1\.1 200 /)
  t.same(
    upstream.requests.map(({ line }) => line),
    ['GET /v1/files/a/content?part=#2 HTTP/1.1', 'GET /v1/threads/a%23b HTTP/1.1'],
  )
})
