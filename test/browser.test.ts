import { test } from 'tap'
import type { Test } from 'tap'
import { PLAIN, basic, bearer, isRefused } from './support/refusals.ts'
import { ADMIN, startSoakp } from './support/soakp.ts'
import type { JsonAnswer, TestSoakp } from './support/soakp.ts'

const APP = 'https://app.example.com'
const EVIL = 'https://evil.example'
const PAGES = ['/v1/chat/completions', '/openai/models', '/soakp/me']
const REFUSED = { status: 403, code: 'SOAKP_ORIGIN_REFUSED' }

async function preflight(soakp: TestSoakp, path: string, origin: string): Promise<JsonAnswer> {
  const headers = {
    origin,
    'access-control-request-method': 'POST',
    'access-control-request-headers': 'authorization,content-type,x-stainless-os,x-new-in-2027',
  }
  return soakp.call('OPTIONS', path, { headers })
}

function corsHeaders({ headers }: JsonAnswer): string[] {
  return [...headers.keys()].filter((name) => name.startsWith('access-control-'))
}

/** Asserts that a page of this origin may read an answer and the headers that the SDK reads. */
function isReadable(t: Test, answer: JsonAnswer, origin: string, what: string): void {
  t.equal(answer.headers.get('access-control-allow-origin'), origin, what)
  t.match(answer.headers.get('vary'), /Origin/, `${what}: caches know`)
  t.notOk(answer.headers.has('access-control-allow-credentials'), `${what}: no cookies`)
  const exposed = answer.headers.get('access-control-expose-headers')?.split(', ') ?? []
  for (const name of [
    'x-request-id',
    'retry-after',
    'x-should-retry',
    'x-ratelimit-remaining-requests',
    'openai-processing-ms',
  ]) {
    t.ok(exposed.includes(name), `${what}: ${name} can be read`)
  }
  t.notOk(exposed.includes('*'))
}

test('a preflight is answered for allowed origins, with the headers that it asked for', async (t) => {
  const soakp = await startSoakp(t, { ...PLAIN, SOAKP_ALLOWED_ORIGINS: `${APP}, http://intranet:8080` })
  for (const path of PAGES) {
    const answer = await preflight(soakp, path, APP)
    t.strictSame([answer.status, answer.body], [204, ''], path)
    t.equal(answer.headers.get('access-control-allow-origin'), APP)
    t.equal(
      answer.headers.get('access-control-allow-headers'),
      'authorization,content-type,x-stainless-os,x-new-in-2027',
    )
    t.match(answer.headers.get('access-control-allow-methods'), /GET, POST, PUT, PATCH, DELETE/)
    t.equal(answer.headers.get('access-control-max-age'), '7200')
    t.match(answer.headers.get('vary'), /Origin, Access-Control-Request-Method, Access-Control-Request-Headers/)
    t.equal((await preflight(soakp, path, 'http://intranet:8080')).status, 204)
    for (const origin of [EVIL, `${APP}.evil.example`, 'http://app.example.com', `${APP}:8443`, 'null', '*', 'x']) {
      const refused = await preflight(soakp, path, origin)
      isRefused(t, refused, REFUSED, `${path} for ${origin}`)
      t.strictSame(corsHeaders(refused), [])
    }
  }
  t.equal(soakp.upstream.requests.length, 0, 'no preflight reaches the upstream')
})

test('answers and errors can be read by pages of allowed origins, and by no others', async (t) => {
  const soakp = await startSoakp(t, { ...PLAIN, SOAKP_ALLOWED_ORIGINS: APP })
  const { id, token } = await soakp.saveKey()
  const scoped = await soakp.mint(id, { scope: { paths: ['/files'] } })
  const limited = await soakp.mint(id, { limits: { requests_per_day: 1 } })
  await soakp.call('GET', '/v1/models', { headers: bearer(limited.token) })
  soakp.upstream.handle('GET', '/v1/open', (_request, response) => {
    response.setHeader('access-control-allow-origin', '*')
    response.setHeader('access-control-allow-credentials', 'true')
    response.setHeader('access-control-expose-headers', '*')
    response.end('{}')
  })
  const body = { model: 'practice-fast', stream: true, messages: [{ role: 'user', content: 'x' }] }
  const cases: [what: string, method: string, path: string, credential: string, status: number, body?: object][] = [
    ['an answer', 'GET', '/v1/models', token, 200],
    ['an answer by the other prefix', 'GET', '/openai/models', token, 200],
    ['an answer whose upstream has its own idea', 'GET', '/v1/open', token, 200],
    ['a stream', 'POST', '/v1/chat/completions', token, 200, body],
    ['an error of the upstream', 'GET', '/v1/models/none', token, 404],
    ['a wrong token', 'GET', '/v1/models', 'wrong', 401],
    ['a scope', 'GET', '/v1/models', scoped.token, 403],
    ['a path that is not read', 'GET', '/%761/models', token, 404],
    ['a limit', 'GET', '/v1/models', limited.token, 429],
    ['me', 'GET', '/soakp/me', token, 200],
    ['me with a wrong token', 'GET', '/soakp/me', 'wrong', 401],
  ]
  for (const [what, method, path, credential, status, sent] of cases) {
    const call = (origin: string) =>
      soakp.call(method, path, { headers: { ...bearer(credential), origin }, ...(sent && { body: sent }) })
    const answer = await call(APP)
    t.equal(answer.status, status, what)
    isReadable(t, answer, APP, what)
    const foreign = await call(EVIL)
    t.ok([403, 401].includes(foreign.status) || status === 404, `${what} for a foreign page: ${foreign.status}`)
    t.strictSame(corsHeaders(foreign), [], `${what}: nothing for a foreign page`)
    if (status === 200) isRefused(t, foreign, REFUSED, what)
  }
  await soakp.upstream.close()
  const down = await soakp.call('GET', '/v1/models', { headers: { ...bearer(token), origin: APP } })
  t.equal(down.status, 502)
  isReadable(t, down, APP, 'an upstream that is down')
  t.strictSame(
    corsHeaders(await soakp.call('GET', '/soakp/me', { headers: bearer(token) })),
    [],
    'nothing where no page asks',
  )
})

test('too many requests of an address can be read by pages, too', async (t) => {
  const soakp = await startSoakp(t, { ...PLAIN, SOAKP_ALLOWED_ORIGINS: APP, SOAKP_ADDRESS_REQUESTS_PER_MINUTE: '2' })
  const { token } = await soakp.saveKey()
  await soakp.call('GET', '/soakp/health')
  for (const path of PAGES) {
    const answer = await soakp.call('GET', path, { headers: { ...bearer(token), origin: APP } })
    isRefused(t, answer, { status: 429, code: 'SOAKP_LIMIT' })
    isReadable(t, answer, APP, path)
    t.strictSame(corsHeaders(await soakp.call('GET', path, { headers: { origin: EVIL } })), [])
  }
  const management = await soakp.call('GET', '/soakp/keys', { headers: { ...bearer(ADMIN), origin: APP } })
  t.strictSame([management.status, corsHeaders(management)], [429, []])
})

test('a token that names origins works from their pages only', async (t) => {
  const soakp = await startSoakp(t, { ...PLAIN, SOAKP_ALLOWED_ORIGINS: 'https://other.example.com' })
  const { id, token } = await soakp.saveKey()
  t.equal((await preflight(soakp, '/v1/models', APP)).status, 403, 'nobody named it yet')
  const bound = await soakp.mint(id, { origins: [APP, 'https://second.example.com'] })
  t.equal((await preflight(soakp, '/v1/models', APP)).status, 204)
  for (const path of ['/v1/models', '/openai/models', '/soakp/me']) {
    const call = (origin: string | undefined, credential: string) =>
      soakp.call('GET', path, { headers: { ...bearer(credential), ...(origin !== undefined && { origin }) } })
    const answer = await call(APP, bound.token)
    t.equal(answer.status, 200, path)
    isReadable(t, answer, APP, path)
    t.equal((await call('https://second.example.com', bound.token)).status, 200)
    for (const origin of [undefined, EVIL, 'https://other.example.com', 'http://localhost:5173', 'null', `${APP}/`]) {
      isRefused(t, await call(origin, bound.token), REFUSED, `${path} from ${origin}`)
    }
    isRefused(t, await call(APP, token), REFUSED, 'the origin of one token is not that of others')
    t.equal((await call(undefined, token)).status, 200, 'a token without origins works on servers')
    t.equal((await call('https://other.example.com', token)).status, 200)
  }
  await soakp.manage('DELETE', `/soakp/tokens/${bound.id}`)
  t.equal((await preflight(soakp, '/v1/models', APP)).status, 403, 'a revoked token opens nothing')
})

test('pages of localhost may call on loopback, whatever their port, and not where strangers can reach', async (t) => {
  const local = await startSoakp(t, PLAIN)
  const open = await startSoakp(t, { ...PLAIN, SOAKP_HOST: '0.0.0.0', SOAKP_ALLOW_PLAIN_HTTP: 'yes' })
  const { token } = await local.saveKey()
  for (const origin of ['http://localhost:5173', 'https://localhost', 'http://127.0.0.1:3000', 'http://[::1]:8080']) {
    t.equal((await preflight(local, '/v1/models', origin)).status, 204, origin)
    const answer = await local.call('GET', '/v1/models', { headers: { ...bearer(token), origin } })
    isReadable(t, answer, origin, origin)
    isRefused(t, await preflight(open, '/v1/models', origin), REFUSED, `${origin} on 0.0.0.0`)
  }
  for (const origin of [
    'http://localhost.evil.example',
    'http://evil.example:3033',
    'https://localhost@evil.example',
  ]) {
    isRefused(t, await preflight(local, '/v1/models', origin), REFUSED, origin)
  }
})

test('management is not for pages of other origins, whatever they hold', async (t) => {
  const soakp = await startSoakp(t, { ...PLAIN, SOAKP_ALLOWED_ORIGINS: APP })
  const { id, tokenId } = await soakp.saveKey()
  const body = { key: soakp.upstream.key }
  const routes: [method: string, path: string, body?: object][] = [
    ['GET', '/soakp/keys'],
    ['POST', '/soakp/keys', body],
    ['GET', `/soakp/keys/${id}`],
    ['PATCH', `/soakp/keys/${id}`, { name: 'x' }],
    ['PUT', `/soakp/keys/${id}/value`, body],
    ['POST', `/soakp/keys/${id}/check`],
    ['DELETE', `/soakp/keys/${id}`],
    ['GET', '/soakp/tokens'],
    ['POST', '/soakp/tokens', { key_id: id }],
    ['GET', `/soakp/tokens/${tokenId}`],
    ['DELETE', `/soakp/tokens/${tokenId}`],
    ['POST', '/soakp/admin/reset'],
    ['POST', '/jwt/generate', body],
    ['POST', '/get-jwt', body],
  ]
  for (const [method, path, sent] of routes) {
    const credential = path.startsWith('/soakp') ? bearer(ADMIN) : basic('admin', ADMIN)
    for (const origin of [APP, EVIL, 'http://localhost:5173', 'null', `https://localhost:${soakp.port}`]) {
      const headers = { ...credential, origin }
      const answer = await soakp.call(method, path, { headers, ...(sent && { body: sent }) })
      isRefused(t, answer, REFUSED, `${method} ${path} from ${origin}`)
      t.strictSame(corsHeaders(answer), [])
      const asked = await preflight(soakp, path, origin)
      t.match(asked.status, 404, `no preflight of ${path}`)
      t.strictSame(corsHeaders(asked), [])
    }
  }
  t.equal((await soakp.manage('GET', '/soakp/keys')).body.data[0].version, 1, 'nothing has happened')
  const own = { headers: { ...bearer(ADMIN), origin: soakp.address } }
  t.equal((await soakp.call('GET', '/soakp/keys', own)).status, 200, 'a page that SOAKP serves itself may')
  for (const path of ['/soakp/health', '/soakp/ready', '/soakp/openapi.json']) {
    t.strictSame(corsHeaders(await soakp.call('GET', path, { headers: { origin: APP } })), [], path)
  }
})

test('OPTIONS that is no preflight is passed on like any other method', async (t) => {
  const soakp = await startSoakp(t, PLAIN)
  const { token } = await soakp.saveKey()
  soakp.upstream.handle('OPTIONS', '/v1/models', (_request, response) => void response.end('{"passed":"on"}'))
  for (const origin of [{}, { origin: 'http://localhost:5173' }]) {
    const answer = await soakp.call('OPTIONS', '/v1/models', { headers: { ...bearer(token), ...origin } })
    t.strictSame([answer.status, answer.body], [200, { passed: 'on' }])
  }
  const anonymous = await soakp.call('OPTIONS', '/v1/models')
  isRefused(t, anonymous, { status: 401, code: 'SOAKP_TOKEN_REFUSED' })
  t.equal(soakp.upstream.requests.length, 2)
})
