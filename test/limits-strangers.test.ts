import { connect } from 'node:http2'
import type { Http2Session } from 'node:http2'
import { connect as connectPlainly } from 'node:net'
import { once } from 'node:events'
import { test } from 'tap'
import type { Test } from 'tap'
import { Agent, fetch } from 'undici'
import { controlSocketPath } from '../services/control-socket.ts'
import { FLAGS, TYPES, frame, headerBlock } from './support/http2-frames.ts'
import { openFrames } from './support/http2-session.ts'
import { PLAIN, basic, bearer, isRefused } from './support/refusals.ts'
import { ADMIN, startSoakp } from './support/soakp.ts'
import type { TestSoakp } from './support/soakp.ts'
import { eventually, openWire, requestText } from './support/wire.ts'
import type { Wire } from './support/wire.ts'

const LIMIT = { status: 429, code: 'SOAKP_LIMIT' }
const LOCAL = { SOAKP_TLS: 'local' }

async function works(t: Test, soakp: TestSoakp, token: string): Promise<void> {
  t.equal((await soakp.call('GET', '/v1/models', { headers: bearer(token) })).status, 200, 'a good call works')
}

/** A connection below TLS. */
async function openTcp(t: Test, soakp: TestSoakp): Promise<Wire> {
  return openWire(t, { ...soakp, authority: undefined })
}

async function openWires(t: Test, soakp: TestSoakp, count: number): Promise<Wire[]> {
  return Promise.all(Array.from({ length: count }, () => openTcp(t, soakp)))
}

for (const [name, environment] of Object.entries({ 'plain HTTP': PLAIN, TLS: LOCAL })) {
  test(`${name}: an address has as many connections as it may have, and one more is closed at once`, async (t) => {
    const logs: string[] = []
    const limit = { ...environment, SOAKP_ADDRESS_CONNECTIONS: '8', SOAKP_LOG_LEVEL: 'warn' }
    const soakp = await startSoakp(t, limit, { logs })
    const { token } = await soakp.saveKey()
    const wires = await openWires(t, soakp, 20)
    const open = () => wires.filter(({ end }) => end === undefined)
    await eventually('the rest is closed', () => open().length < 8)
    t.ok(open().length >= 6, 'what was within stays')
    t.equal(logs.filter((line) => line.includes('connections closed')).length, 1, 'a flood is one line')
    for (const { socket } of open()) socket.destroy()
    await eventually('good calls', () => wires.every(({ socket }) => socket.destroyed))
    await works(t, soakp, token)
  })

  test(`${name}: there are as many connections in all as there may be, and the command still works`, async (t) => {
    const soakp = await startSoakp(t, { ...environment, SOAKP_CONNECTIONS: '8' })
    const { token } = await soakp.saveKey()
    const wires = await openWires(t, soakp, 20)
    const open = () => wires.filter(({ end }) => end === undefined)
    await eventually('the rest is closed', () => open().length < 8)
    const dispatcher = new Agent({ connect: { socketPath: controlSocketPath(soakp.dataDir) ?? '' } })
    t.teardown(() => dispatcher.destroy())
    t.equal((await fetch('http://localhost/soakp/keys', { dispatcher })).status, 200, 'the socket of the data folder')
    for (const { socket } of open()) socket.destroy()
    await works(t, soakp, token)
  })

  test(`${name}: heads that are too long or too slow are refused, and the next request works`, async (t) => {
    const limits = { SOAKP_HEADER_BYTES: '4096', SOAKP_URL_BYTES: '1000' }
    const soakp = await startSoakp(t, { ...environment, ...limits }, { limits: { headersMs: 400 } })
    const { token } = await soakp.saveKey()
    const silent = await openTcp(t, soakp)
    const slow = await openWire(t, soakp)
    slow.write('GET /v1/models HTTP/1.1\r\nHost: localhost\r\n')
    const fat = await openWire(t, soakp)
    fat.write(requestText(['GET /v1/models HTTP/1.1', `X-Fat: ${'x'.repeat(4_096)}`]))
    t.match(await fat.over(), /^HTTP\/1\.1 431 .*"code":"SOAKP_HEADERS_TOO_LARGE"/s)
    const url = `/v1/${'x'.repeat(996)}`
    t.equal((await soakp.call('GET', url, { headers: bearer(token) })).status, 404, 'the upstream has seen it')
    const before = soakp.upstream.requests.length
    isRefused(t, await soakp.call('GET', `${url}x`, { headers: bearer(token) }), {
      status: 414,
      code: 'SOAKP_URL_TOO_LONG',
    })
    t.match(await slow.over(), /^HTTP\/1\.1 408 .*"code":"SOAKP_REQUEST_TIMEOUT"/s)
    await silent.over()
    t.equal(soakp.upstream.requests.length, before)
    await works(t, soakp, token)
  })
}

test('over HTTP/2 heads are as short, streams as few, and a session is one connection', async (t) => {
  const limits = { SOAKP_HEADER_BYTES: '4096', SOAKP_URL_BYTES: '1000', SOAKP_HTTP2_STREAMS: '3' }
  const soakp = await startSoakp(t, { ...LOCAL, ...limits, SOAKP_ADDRESS_CONNECTIONS: '3' })
  const { token } = await soakp.saveKey()
  const open = () => {
    const client = connect(soakp.address, { ca: soakp.authority ?? '' })
    t.teardown(() => client.destroy())
    return client.on('error', () => undefined)
  }
  const client = open()
  await once(client, 'remoteSettings')
  t.equal(client.remoteSettings.maxConcurrentStreams, 3)
  const ask = (path: string, extra = {}) => {
    const stream = client.request({ ':path': path, authorization: `Bearer ${token}`, ...extra })
    stream.on('error', () => undefined).resume()
    return stream
  }
  t.match(await once(ask(`/v1/${'x'.repeat(997)}`), 'response'), [{ ':status': 414 }])
  t.match(await once(ask('/v1/models', { 'x-fat': 'x'.repeat(4_096) }), 'response'), [{ ':status': 431 }])
  t.equal(soakp.upstream.requests.length, 0)
  t.match(await once(ask('/v1/models'), 'response'), [{ ':status': 200 }], 'the session goes on')
  // One is the test's own.
  const sessions = [open(), open(), open()]
  await eventually('two sessions are one too many', () => sessions.filter(({ destroyed }) => destroyed).length === 2)
  await works(t, soakp, token)
})

test('a session of HTTP/2 without a request, or with half of one, is ended', async (t) => {
  const soakp = await startSoakp(t, LOCAL, { limits: { headersMs: 300 } })
  const { token } = await soakp.saveKey()
  const sessions: Http2Session[] = []
  soakp.app.server.on('session', (session: Http2Session) => sessions.push(session))
  const path = { ':method': 'GET', ':scheme': 'https', ':path': '/v1/models', ':authority': 'localhost' }
  const block = headerBlock(Object.entries({ ...path, authorization: `Bearer ${token}` }))
  const half = frame(TYPES.headers, FLAGS.endStream, 1, block)
  const [silent, begun, good] = [await openFrames(t, soakp), await openFrames(t, soakp), await openFrames(t, soakp)]
  await begun.write(half)
  await good.write(frame(TYPES.headers, FLAGS.endStream | FLAGS.endHeaders, 1, block))
  await eventually('the end of both', () => silent.isOver() && begun.isOver())
  await eventually('an answer', () => good.frames().some(({ type }) => type === TYPES.data))
  const ping = frame(TYPES.ping, 0, 0, Buffer.alloc(8))
  await good.write(ping, frame(TYPES.headers, FLAGS.endStream, 3, block.subarray(0, 20)))
  await eventually('what came with the ping', () => good.frames().some(({ type }) => type === TYPES.ping))
  t.notOk(good.isOver(), 'one that has had a request may be silent for longer')
  sessions.at(-1)?.emit('timeout')
  await eventually('the end', good.isOver)
  await works(t, soakp, token)
})

test('requests without a good credential are counted by network, and good ones of that network pass', async (t) => {
  const soakp = await startSoakp(t, {
    ...PLAIN,
    SOAKP_REFUSED_REQUESTS_PER_MINUTE: '5',
    SOAKP_TRUSTED_PROXIES: '127.0.0.1',
  })
  const { token } = await soakp.saveKey()
  const models = async (credential: string, address: string) =>
    soakp.call('GET', '/v1/models', { headers: { 'x-forwarded-for': address, ...bearer(credential) } })
  const statuses = async (addresses: readonly string[]) => {
    const all: number[] = []
    for (const address of addresses) all.push((await models('wrong', address)).status)
    return all
  }
  const four = Array.from({ length: 7 }, (_each, index) => `192.0.2.${index}`)
  t.strictSame(await statuses(four), [401, 401, 401, 401, 401, 429, 429], 'a /24')
  const six = Array.from({ length: 7 }, (_each, index) => `2001:db8:1:${index}::1`)
  t.strictSame(await statuses(six), [401, 401, 401, 401, 401, 429, 429], 'a /48')
  const refused = await models('wrong', '192.0.2.77')
  isRefused(t, refused, LIMIT)
  t.equal(refused.headers.get('connection'), 'close', 'each attempt costs a connection')
  t.match(refused.headers.get('retry-after'), /^\d+$/)
  t.equal((await models(token, '192.0.2.77')).status, 200)
  const keys = { 'x-forwarded-for': '192.0.2.77' }
  isRefused(t, await soakp.call('GET', '/soakp/keys', { headers: keys }), LIMIT, 'at each door')
  t.equal((await soakp.call('GET', '/soakp/keys', { headers: { ...keys, ...bearer(ADMIN) } })).status, 200)
  t.equal((await models('wrong', '192.0.3.1')).status, 401, 'another network')
})

test('guesses of the admin credential from a whole network are counted together, and no name is locked', async (t) => {
  const soakp = await startSoakp(t, {
    ...PLAIN,
    SOAKP_NETWORK_FAILED_LOGINS_PER_MINUTE: '4',
    SOAKP_TRUSTED_PROXIES: '127.0.0.1',
  })
  const legacy = async (password: string, address: string) =>
    soakp.call('POST', '/get-jwt', { headers: { 'x-forwarded-for': address, ...basic('admin', password) } })
  for (let each = 0; each < 4; each += 1) t.equal((await legacy('wrong', `2001:db8:1:${each}::1`)).status, 401)
  isRefused(t, await legacy(ADMIN, '2001:db8:1:ffff::1'), LIMIT, 'each guess came from another /64')
  t.not((await legacy(ADMIN, '2001:db8:2::1')).status, 429, 'the same name from elsewhere')
  t.not((await legacy(ADMIN, '2001:db8:2::1')).status, 401)
})

test('connections of a trusted proxy carry the calls of many and are not counted by address', async (t) => {
  const soakp = await startSoakp(t, {
    ...PLAIN,
    SOAKP_ADDRESS_CONNECTIONS: '2',
    SOAKP_TRUSTED_PROXIES: '127.0.0.1',
  })
  const { token } = await soakp.saveKey()
  const wires = await openWires(t, soakp, 10)
  await works(t, soakp, token)
  t.notOk(wires.some(({ end }) => end !== undefined))
  let closed = 0
  for (let each = 0; each < 4; each += 1) {
    const stranger = connectPlainly({ port: soakp.port, host: '127.0.0.1', localAddress: '127.0.0.2' })
    t.teardown(() => stranger.destroy())
    stranger.on('error', () => undefined).on('close', () => (closed += 1))
    await once(stranger, 'connect')
  }
  await eventually('the rest is closed', () => closed === 2)
})

test('two hundred clients that send their heads one byte at a time end by themselves, and keep nobody waiting', async (t) => {
  const soakp = await startSoakp(t, PLAIN, { limits: { headersMs: 600 } })
  const { token } = await soakp.saveKey()
  const wires = await openWires(t, soakp, 200)
  const head = 'GET /v1/models HTTP/1.1\r\nHost: localhost\r\nX-Slow: '
  let at = 0
  const drip = setInterval(() => {
    for (const wire of wires) if (wire.end === undefined) wire.write(head[at % head.length] ?? 'x')
    at += 1
  }, 20)
  t.teardown(() => clearInterval(drip))
  for (let call = 0; call < 20; call += 1) await works(t, soakp, token)
  await eventually('the end of all of them', () => wires.every(({ end }) => end !== undefined))
  t.ok(wires.every((wire) => wire.text().startsWith('HTTP/1.1 408 ')))
  await works(t, soakp, token)
})
