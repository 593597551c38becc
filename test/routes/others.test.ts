import { execFile, spawnSync } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { test } from 'tap'
import { Agent, fetch } from 'undici'
import { controlSocketPath } from '../../services/control-socket.ts'
import { PLAIN, basic, bearer, isRefused } from '../support/refusals.ts'
import { ADMIN, startSoakp } from '../support/soakp.ts'
import { exchange } from '../support/wire.ts'

const hasCurl = spawnSync('curl', ['--version']).status === 0
const REFUSED = { status: 401, code: 'SOAKP_ADMIN_REFUSED' }

test('the admin credential is taken in any spelling of its scheme, and nothing like it', async (t) => {
  const soakp = await startSoakp(t, PLAIN)
  const { token } = await soakp.saveKey()
  const list = (authorization: string | undefined) =>
    soakp.call('GET', '/soakp/keys', { headers: authorization === undefined ? {} : { authorization } })
  for (const scheme of ['Bearer', 'bearer', 'BEARER', 'Bearer  ']) {
    t.equal((await list(`${scheme} ${ADMIN}`)).status, 200, scheme)
  }
  for (const authorization of [
    undefined,
    '',
    'Bearer',
    ADMIN,
    `Token ${ADMIN}`,
    `Bearer ${ADMIN.slice(0, -1)}`,
    `Bearer ${ADMIN}x`,
    `Bearer ${ADMIN.toUpperCase()}`,
    `Bearer ${ADMIN}, Bearer x`,
    `Bearer ${token}`,
    basic('admin', ADMIN).authorization,
  ]) {
    const answer = await list(authorization)
    isRefused(t, answer, REFUSED, String(authorization).slice(0, 20))
    t.equal(answer.headers.get('www-authenticate'), 'Bearer')
  }
  for (const path of ['/v1/models', '/openai/models', '/soakp/me']) {
    const answer = await soakp.call('GET', path, { headers: bearer(ADMIN) })
    isRefused(t, answer, { status: 401, code: 'SOAKP_TOKEN_REFUSED' }, `no token for ${path}`)
    t.equal(answer.headers.get('www-authenticate'), 'Bearer')
  }
  const twice = [`Authorization: Bearer ${ADMIN}`, 'Authorization: Bearer x']
  for (const lines of [twice, twice.toReversed()]) {
    t.match(
      await exchange(t, soakp, ['GET /soakp/keys HTTP/1.1', ...lines]),
      /^HTTP\/1\.1 400 .*SOAKP_REQUEST_AMBIGUOUS/s,
    )
  }
  t.equal(soakp.upstream.requests.length, 0)
})

test('both paths of the 2023 soakp save a key and give a token, as they did', async (t) => {
  const soakp = await startSoakp(t, PLAIN)
  const { key } = soakp.upstream
  for (const [path, account] of [
    ['/jwt/generate', { org: 'org-1', project: 'proj_1' }],
    ['/get-jwt', { orgId: 'org-1' }],
    ['/get-jwt', { comment: 'fields that nobody knows are passed over, as they were' }],
  ] as const) {
    const body = { key, ...account }
    const answer = await soakp.call('POST', path, { headers: basic('admin', ADMIN), body })
    const { jwt, ...rest } = answer.body.data
    t.strictSame([answer.status, answer.body.status, answer.body.message, rest], [200, 201, 'JWT added', {}], path)
    t.equal((await soakp.call('GET', '/openai/models', { headers: bearer(jwt) })).status, 200)
    const sent = soakp.upstream.requests.at(-1)?.rawHeaders ?? []
    t.equal(sent.includes('org-1'), 'org' in account || 'orgId' in account)
    t.equal(sent.includes('proj_1'), 'project' in account)

    isRefused(t, await soakp.call('POST', path, { headers: basic('admin', ADMIN), body: {} }), {
      status: 400,
      code: 'SOAKP_REQUEST_INVALID',
      param: 'key',
    })
    const refused = await soakp.call('POST', path, { headers: basic('admin', 'wrong'), body })
    isRefused(t, refused, REFUSED, path)
    t.match(refused.headers.get('www-authenticate'), /^Basic realm="SOAKP"/)
    isRefused(t, await soakp.call('POST', path, { headers: bearer(ADMIN), body }), REFUSED, 'not by Bearer')
    isRefused(t, await soakp.call('POST', path, { body }), REFUSED, 'not without')
  }
})

test('curl -u gets a token over HTTPS', { skip: hasCurl ? false : 'needs curl' }, async (t) => {
  const run = promisify(execFile)
  const soakp = await startSoakp(t)
  const authority = join(soakp.dataDir, 'local-authority.pem')
  const options = ['-sS', '--cacert', authority, '-u', `admin:${ADMIN}`, '-H', 'Content-Type: application/json']
  for (const path of ['/jwt/generate', '/get-jwt']) {
    const body = JSON.stringify({ key: soakp.upstream.key })
    const { stdout } = await run('curl', [...options, '-d', body, soakp.address + path])
    const { data } = JSON.parse(stdout)
    t.equal((await soakp.call('GET', '/openai/models', { headers: bearer(data.jwt) })).status, 200)
  }
})

test('name and password are compared as people write them, and both are always checked', async (t) => {
  const password = 'pass:wörd with:colons and blanks'
  const soakp = await startSoakp(t, { ...PLAIN, SOAKP_ADMIN_USER: 'Zoë', SOAKP_ADMIN_TOKEN: password })
  const { admin } = soakp.app.unsealed
  const isCredential = admin.isCredential.bind(admin)
  let checks = 0
  admin.isCredential = async (given) => {
    checks += 1
    return isCredential(given)
  }
  const login = async (user: string, given: string) => {
    const headers = basic(user, given)
    return soakp.call('POST', '/jwt/generate', { headers, body: { key: soakp.upstream.key } })
  }
  for (const user of ['Zoë', 'zoë', ' ZOË ', 'Zoë'.normalize('NFD')]) t.equal((await login(user, password)).status, 200)
  checks = 0
  const wrong: string[] = []
  for (const [user, given] of [
    ['Zoë', 'pass'],
    ['Zoë', ''],
    ['nobody', password],
    ['nobody', 'pass'],
    ['', password],
    ['Zo', password],
  ] as const) {
    const answer = await login(user, given)
    isRefused(t, answer, REFUSED, `${user}:${given}`)
    wrong.push(JSON.stringify(answer.body))
  }
  t.equal(checks, 6, 'a name that nobody has costs the same')
  t.equal(new Set(wrong).size, 1, 'the answer does not say which was wrong')
})

test('a reset makes a new admin credential and ends the old one at once', async (t) => {
  const soakp = await startSoakp(t, { ...PLAIN, SOAKP_ADMIN_TOKEN: undefined })
  const first = soakp.app.unsealed.newAdminCredential?.reveal() ?? ''
  t.match(first, /^soakp_admin_[\w-]{43}$/)
  const statusOf = async (credential: string) =>
    (await soakp.call('GET', '/soakp/keys', { headers: bearer(credential) })).status
  t.equal(await statusOf(first), 200)
  const reset = await soakp.call('POST', '/soakp/admin/reset', { headers: bearer(first) })
  t.match(reset, { status: 200, body: { object: 'admin_credential', credential: /^soakp_admin_[\w-]{43}$/ } })
  t.equal(reset.headers.get('cache-control'), 'no-store')
  t.strictSame([await statusOf(first), await statusOf(reset.body.credential)], [401, 200])

  const local = new Agent({ connect: { socketPath: controlSocketPath(soakp.dataDir) ?? '' } })
  t.teardown(() => local.destroy())
  const answer = await fetch('http://localhost/soakp/admin/reset', { method: 'POST', dispatcher: local })
  const { credential } = Object(await answer.json())
  t.strictSame([await statusOf(reset.body.credential), await statusOf(credential)], [401, 200], 'who lost it, too')
})

test('an admin credential of the configuration is changed there', async (t) => {
  const soakp = await startSoakp(t, PLAIN)
  const refused = await soakp.manage('POST', '/soakp/admin/reset')
  isRefused(t, refused, { status: 409, code: 'SOAKP_ADMIN_CONFIGURED' })
  t.match(refused.body.error.message, /SOAKP_ADMIN_TOKEN/)
  t.equal((await soakp.manage('GET', '/soakp/keys')).status, 200)
})

test('me tells a caller what its own token may do, and nothing of the key', async (t) => {
  const soakp = await startSoakp(t, PLAIN)
  const { id } = await soakp.saveKey({ name: 'KEY NAME' })
  const scope = { methods: ['GET'], paths: ['/models'] }
  const minted = await soakp.mint(id, { subject: 'user-7', name: 'phone', expires_in: 60, scope })
  const { status, body } = await soakp.call('GET', '/soakp/me', { headers: bearer(minted.token) })
  t.equal(status, 200)
  const limits = { requests_per_minute: 600, requests_per_day: 20_000, parallel_requests: 100 }
  const { expires_at, ...rest } = body
  const own = { object: 'token', id: minted.id, subject: 'user-7', name: 'phone', scope, origins: [], limits }
  t.strictSame(rest, { ...own, remaining: limits })
  t.ok(Math.abs(expires_at - Date.now() / 1_000 - 60) < 60)
  for (const credential of [ADMIN, '', `${minted.token}x`]) {
    const answer = await soakp.call('GET', '/soakp/me', { headers: bearer(credential) })
    isRefused(t, answer, { status: 401, code: 'SOAKP_TOKEN_REFUSED' })
  }
})

test('health is for everybody and tells nothing; ready is 503 when the store cannot be read', async (t) => {
  const soakp = await startSoakp(t, PLAIN)
  for (const [path, status] of Object.entries({ health: 'ok', ready: 'ready' })) {
    const answer = await soakp.call('GET', `/soakp/${path}`)
    t.strictSame([answer.status, answer.body], [200, { status }])
    const head = await soakp.call('HEAD', `/soakp/${path}`)
    t.strictSame([head.status, head.body], [200, ''], 'as load balancers ask')
    t.notMatch(JSON.stringify([...answer.headers]), /server|powered|\d\.\d\.\d/i, 'no version')
  }
  await soakp.app.unsealed.store.close()
  t.equal((await soakp.call('GET', '/soakp/health')).status, 200)
  const { status, body, headers } = await soakp.call('GET', '/soakp/ready')
  const message = 'The database cannot be read.'
  const error = { message, type: 'server_error', code: 'SOAKP_NOT_READY', param: null }
  t.strictSame([status, body], [503, { error }])
  t.match(headers.get('x-request-id'), /^req_/)
  t.equal((await soakp.call('HEAD', '/soakp/ready')).status, 503)
})
