import { test } from 'tap'
import { Agent, fetch } from 'undici'
import { controlSocketPath } from '../services/control-socket.ts'
import { PLAIN, basic, bearer, isRefused } from './support/refusals.ts'
import { ADMIN, startSoakp, temporaryFolder } from './support/soakp.ts'
import type { JsonAnswer, TestSoakp } from './support/soakp.ts'
import { eventually, openWire, requestText } from './support/wire.ts'

const LIMIT = { status: 429, code: 'SOAKP_LIMIT' }
const MODELS = 'GET /v1/models HTTP/1.1'

async function models(soakp: TestSoakp, token: string): Promise<JsonAnswer> {
  return soakp.call('GET', '/v1/models', { headers: bearer(token) })
}

async function remaining(soakp: TestSoakp, token: string): Promise<Record<string, number>> {
  return (await soakp.call('GET', '/soakp/me', { headers: bearer(token) })).body.remaining
}

function waits({ headers }: JsonAnswer, mostSeconds: number): boolean {
  const text = headers.get('retry-after') ?? ''
  return /^\d+$/.test(text) && Number(text) >= 1 && Number(text) <= mostSeconds
}

test('a token makes the requests of its minute, and what is beyond does not reach the upstream', async (t) => {
  const soakp = await startSoakp(t, PLAIN)
  const { id, token: other } = await soakp.saveKey()
  const { token } = await soakp.mint(id, { limits: { requests_per_minute: 2 } })
  t.match(await remaining(soakp, token), { requests_per_minute: 2, requests_per_day: 20_000, parallel_requests: 100 })
  t.equal((await models(soakp, token)).status, 200)
  t.match(await remaining(soakp, token), { requests_per_minute: 1, requests_per_day: 19_999 })
  t.equal((await models(soakp, token)).status, 200)
  soakp.upstream.clear()
  const refused = await models(soakp, token)
  isRefused(t, refused, LIMIT)
  t.match(refused.body.error.message, /2 requests a minute/)
  t.ok(waits(refused, 60), 'it says how long to wait')
  t.match(await remaining(soakp, token), { requests_per_minute: 0, requests_per_day: 19_998 })
  t.equal((await models(soakp, other)).status, 200, 'another token of the same key goes on')
  const viaSdk = soakp.openai(token).models.list()
  await t.rejects(viaSdk, { status: 429, code: 'SOAKP_LIMIT' }, 'the SDK understands, and does not try again')
  t.equal(soakp.upstream.requests.length, 1)
  passTime(t, 61_000)
  t.equal((await models(soakp, token)).status, 200, 'a minute later it goes on')
})

test('the requests of a day are counted across a restart, and begin anew on the next day', async (t) => {
  const environment = { ...PLAIN, SOAKP_DATA_DIR: await temporaryFolder(t) }
  const first = await startSoakp(t, environment)
  const { id } = await first.saveKey()
  const { token } = await first.mint(id, { limits: { requests_per_day: 3 } })
  t.equal((await models(first, token)).status, 200)
  t.equal((await models(first, token)).status, 200)
  await first.app.close()

  const second = await startSoakp(t, environment)
  t.match(await remaining(second, token), { requests_per_day: 1 })
  await models(second, token)
  second.upstream.clear()
  const refused = await models(second, token)
  isRefused(t, refused, LIMIT)
  t.match(refused.body.error.message, /3 requests a day \(UTC\)/)
  t.ok(waits(refused, 86_400))
  t.equal(second.upstream.requests.length, 0)
  const { now } = Date
  t.teardown(() => void (Date.now = now))
  Date.now = () => now() + 86_400_000
  t.match(await remaining(second, token), { requests_per_day: 3 })
})

test('requests that come together do not pass together', async (t) => {
  const soakp = await startSoakp(t, PLAIN)
  const { id } = await soakp.saveKey()
  const { token } = await soakp.mint(id, { limits: { requests_per_day: 2 } })
  const wire = await openWire(t, soakp)
  const pipelined = requestText([MODELS, `Authorization: Bearer ${token}`]).repeat(5)
  wire.write(pipelined + requestText([MODELS, 'Connection: close']))
  const answers = (await wire.over()).match(/HTTP\/1\.1 \d+/g)
  t.strictSame(
    answers,
    [200, 200, 429, 429, 429, 401].map((status) => `HTTP/1.1 ${status}`),
  )
  t.equal(soakp.upstream.requests.length, 2)
})

test('a place among the requests at once is free again when a call ends or its client leaves', async (t) => {
  const soakp = await startSoakp(t, PLAIN)
  const { id } = await soakp.saveKey()
  const limited = await soakp.mint(id, { limits: { parallel_requests: 1 } })
  const running = () => soakp.app.unsealed.liveCalls.count(limited.id)
  const release: (() => void)[] = []
  const restore = soakp.upstream.handle('GET', '/v1/models', (_request, response) => {
    response.write('{')
    release.push(() => response.end('}'))
  })

  const held = models(soakp, limited.token)
  await eventually('the upstream answers', () => release.length === 1)
  const refused = await models(soakp, limited.token)
  isRefused(t, refused, LIMIT)
  t.match(refused.body.error.message, /1 requests at once/)
  t.ok(waits(refused, 60))
  t.match(await remaining(soakp, limited.token), { parallel_requests: 0 })
  release[0]?.()
  t.equal((await held).status, 200)
  await eventually('the call is over', () => running() === 0)
  t.match(await remaining(soakp, limited.token), { parallel_requests: 1 })

  const wire = await openWire(t, soakp)
  wire.write(requestText([MODELS, `Authorization: Bearer ${limited.token}`]))
  await eventually('the next call runs', () => release.length === 2)
  t.equal((await models(soakp, limited.token)).status, 429)
  wire.socket.destroy()
  await eventually('the place is free', () => running() === 0)
  restore()
  t.equal((await models(soakp, limited.token)).status, 200)
  t.equal(soakp.upstream.requests.length, 3, 'refused calls did not reach the upstream')
})

test('an address makes the requests of its minute, whatever they ask for, before anything else is looked at', async (t) => {
  const soakp = await startSoakp(t, { ...PLAIN, SOAKP_ADDRESS_REQUESTS_PER_MINUTE: '5' })
  const { token } = await soakp.saveKey()
  t.equal((await soakp.call('GET', '/soakp/health')).status, 200)
  t.equal((await soakp.call('GET', '/nothing')).status, 404)
  t.equal((await models(soakp, 'wrong')).status, 401)
  t.equal((await models(soakp, token)).status, 200)
  for (const [path, credential] of [
    ['/v1/models', token],
    ['/v1/models', 'wrong'],
    ['/soakp/keys', ADMIN],
    ['/soakp/health', ''],
    ['/nothing', ''],
  ] as const) {
    const headers = { ...bearer(credential), 'x-forwarded-for': `203.0.113.${path.length}`, forwarded: 'for=192.0.2.1' }
    const answer = await soakp.call('GET', path, { headers })
    isRefused(t, answer, LIMIT, `${path}: a header does not make another address`)
    t.ok(waits(answer, 60))
  }
  t.equal(soakp.upstream.requests.length, 1)
  const local = new Agent({ connect: { socketPath: controlSocketPath(soakp.dataDir) ?? '' } })
  t.teardown(() => local.destroy())
  for (let count = 0; count < 7; count += 1) {
    t.equal((await fetch('http://localhost/soakp/keys', { dispatcher: local })).status, 200, 'never the local socket')
  }
  passTime(t, 61_000)
  t.equal((await models(soakp, token)).status, 200, 'a minute later it goes on')
})

test('behind a trusted proxy the address is the one that the proxy saw', async (t) => {
  const environment = {
    ...PLAIN,
    SOAKP_ADDRESS_REQUESTS_PER_MINUTE: '2',
    SOAKP_TRUSTED_PROXIES: '127.0.0.0/8,10.0.0.0/8',
  }
  const soakp = await startSoakp(t, environment)
  const statusOf = async (forwardedFor: string) =>
    (await soakp.call('GET', '/soakp/health', { headers: { 'x-forwarded-for': forwardedFor } })).status
  const statuses = async (...addresses: string[]) => {
    const all: number[] = []
    for (const address of addresses) all.push(await statusOf(address))
    return all
  }
  t.strictSame(await statuses('192.0.2.1', '192.0.2.1', '192.0.2.1'), [200, 200, 429])
  t.strictSame(await statuses('192.0.2.2, 10.1.1.1', '198.51.100.9, 192.0.2.2', '192.0.2.2'), [200, 200, 429])
  t.strictSame(await statuses('2001:db8:1:2::1', '2001:db8:1:2:ffff::2', '2001:db8:1:2::3'), [200, 200, 429], 'a /64')
  t.equal(await statusOf('2001:db8:1:3::1'), 200)
})

test('guesses of the admin credential are counted by address, and lock nobody else out', async (t) => {
  const soakp = await startSoakp(t, {
    ...PLAIN,
    SOAKP_FAILED_LOGINS_PER_MINUTE: '3',
    SOAKP_TRUSTED_PROXIES: '127.0.0.1',
  })
  const { token } = await soakp.saveKey()
  const list = async (credential: string | undefined, address = '192.0.2.1') =>
    soakp.call('GET', '/soakp/keys', { headers: { 'x-forwarded-for': address, ...(credential && bearer(credential)) } })
  const legacy = async (user: string, password: string, address = '192.0.2.1') =>
    soakp.call('POST', '/jwt/generate', {
      headers: { 'x-forwarded-for': address, ...basic(user, password) },
      body: { key: soakp.upstream.key },
    })
  for (let count = 0; count < 5; count += 1) t.equal((await list(undefined)).status, 401, 'to ask without is no guess')
  t.equal((await list(ADMIN)).status, 200)
  t.equal((await list('soakp_admin_wrong')).status, 401)
  t.equal((await legacy('admin', 'wrong')).status, 401)
  t.equal((await legacy('somebody', ADMIN)).status, 401)
  const refused = await list(ADMIN)
  isRefused(t, refused, LIMIT, 'even the right one has to wait')
  t.ok(waits(refused, 60))
  isRefused(t, await legacy('admin', ADMIN), LIMIT, 'at each door')
  isRefused(t, await list(undefined), LIMIT)
  t.equal((await list(ADMIN, '192.0.2.2')).status, 200, 'the admin at another address is not locked out')
  t.equal((await legacy('admin', ADMIN, '192.0.2.2')).status, 200)
  t.equal((await models(soakp, token)).status, 200, 'nor are callers')
  const local = new Agent({ connect: { socketPath: controlSocketPath(soakp.dataDir) ?? '' } })
  t.teardown(() => local.destroy())
  for (let count = 0; count < 5; count += 1) {
    const headers = bearer('soakp_admin_wrong')
    t.equal((await fetch('http://localhost/soakp/keys', { dispatcher: local, headers })).status, 200)
    const guess = { method: 'POST', dispatcher: local, headers: basic('admin', 'wrong') }
    t.equal((await fetch('http://localhost/get-jwt', guess)).status, 401, 'Basic is asked there, too, and never locked')
  }
  passTime(t, 61_000)
  t.equal((await list(ADMIN)).status, 200, 'a minute later it is let in')
})

/** Moves the clock of windows, which no change of the time of day moves. */
function passTime(t: { teardown: (restore: () => void) => void }, ms: number): void {
  const now = performance.now.bind(performance)
  t.teardown(() => void (performance.now = now))
  performance.now = () => now() + ms
}
