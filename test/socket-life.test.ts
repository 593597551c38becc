import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { test } from 'tap'
import type { Test } from 'tap'
import { WebSocket } from 'ws'
import { createLocalAuthority, issueLocalCertificate } from '../services/local-authority.ts'
import { startPassing } from './support/passing.ts'
import { PLAIN } from './support/refusals.ts'
import { startSoakp, temporaryFolder } from './support/soakp.ts'
import type { TestSoakp } from './support/soakp.ts'
import { createRandom } from './support/durability-calls.ts'
import { HANDSHAKE, closed, connect, dial, switchingText } from './support/sockets.ts'
import { eventually, openWire, requestText, startRawUpstream } from './support/wire.ts'

/** Opens a WebSocket through SOAKP, or returns how it was refused. */
function open(t: Test, { port }: TestSoakp, token: string, path = '/v1/realtime') {
  return dial(t, `ws://localhost:${port}${path}`, [], { headers: { authorization: `Bearer ${token}` } })
}

/** Opens a raw WebSocket through SOAKP. */
async function openRaw(t: Test, soakp: TestSoakp, token: string) {
  const wire = await openWire(t, soakp)
  wire.write(requestText(['GET /v1/realtime HTTP/1.1', ...HANDSHAKE, `Authorization: Bearer ${token}`]))
  await wire.until(/^HTTP\/1\.1 101 /)
  return wire
}

for (const [mode, environment] of [
  ['plain HTTP', PLAIN],
  ['TLS', {}],
] as const) {
  test(`over ${mode}, SOAKP stops in time, and sockets are told by 1001`, async (t) => {
    const soakp = await startSoakp(t, { ...environment, SOAKP_DRAIN_SECONDS: '60' })
    const { token } = await soakp.saveKey()
    const url = `${soakp.address.replace('http', 'ws')}/v1/realtime`
    const client = await connect(t, url, [], { ca: soakp.authority, headers: { authorization: `Bearer ${token}` } })
    const deaf = await openRaw(t, soakp, token)
    const atClient = closed(client)
    const beginMs = performance.now()
    await soakp.app.close()
    t.strictSame(await atClient, { code: 1001, reason: 'the server is stopping' })
    await deaf.until(/the server is stopping$/)
    t.ok(performance.now() - beginMs < 20_000, 'before the calls that drain, with a client that never answers')
  })
}

test('a client that waits for its 101 hears why it gets none', async (t) => {
  const { soakp, upstream, authorization } = await startPassing(t)
  upstream.answer(() => undefined)
  const ask = async (line: string) => {
    const wire = await openWire(t, soakp)
    wire.write(requestText(['GET /v1/realtime HTTP/1.1', ...HANDSHAKE, line]))
    return wire
  }
  const { id, token } = await soakp.saveKey()
  const minted = await soakp.mint(id)
  const [first, second, third] = await Promise.all([
    ask(`Authorization: Bearer ${minted.token}`),
    ask(`Authorization: Bearer ${token}`),
    ask(authorization),
  ])
  await eventually('three waiting calls', () => upstream.openConnections() === 3)
  await soakp.manage('DELETE', `/soakp/tokens/${minted.id}`)
  t.match(await first.over(), /^HTTP\/1\.1 401 .*SOAKP_TOKEN_REFUSED/s, 'the token was revoked')
  await soakp.manage('DELETE', `/soakp/keys/${id}`)
  t.match(await second.over(), /^HTTP\/1\.1 401 .*SOAKP_TOKEN_REFUSED/s, 'the key was deleted')
  await eventually('one is left', () => upstream.openConnections() === 1)
  await soakp.app.close()
  t.match(await third.over(), /^HTTP\/1\.1 503 .*SOAKP_STOPPING/s, 'the server stops')
  await eventually('none is left', () => upstream.openConnections() === 0)
})

test('sockets count among the parallel requests of a token until their client has closed', async (t) => {
  const soakp = await startSoakp(t, PLAIN)
  const { id } = await soakp.saveKey()
  const { token } = await soakp.mint(id, { limits: { parallel_requests: 1 } })
  const first = await open(t, soakp, token)
  if (!(first instanceof WebSocket)) throw new Error('refused')
  t.match(await open(t, soakp, token), { status: 429, headers: { 'retry-after': '1' }, body: /SOAKP_LIMIT/ })
  first.close()
  await closed(first)
  await eventually('it counts no more', () => soakp.app.unsealed.liveCalls.size === 0)
  t.ok((await open(t, soakp, token)) instanceof WebSocket)
})

test('an upstream that does not prove its identity never sees a handshake', async (t) => {
  const now = new Date()
  const authority = await createLocalAuthority(now)
  const { certificatePem, privateKeyPem } = await issueLocalCertificate(authority, ['127.0.0.1'], now)
  const upstream = await startRawUpstream(t, { cert: certificatePem, key: privateKeyPem })
  upstream.answer(({ wire, headers }) => wire.write(switchingText(headers)))
  const file = join(await temporaryFolder(t), 'roots.pem')
  await writeFile(file, authority.certificatePem)
  const strict = await startSoakp(t, PLAIN)
  const trusting = await startSoakp(t, { ...PLAIN, SOAKP_UPSTREAM_CA_FILE: file })
  const key = { base_url: upstream.url, key: 'sk-proj-of-an-upstream-with-tls' }
  const refused = await open(t, strict, (await strict.saveKey(key)).token)
  t.match(refused, { status: 502, body: /SOAKP_UPSTREAM_CERTIFICATE/ })
  t.equal(upstream.requests.length, 0)
  t.ok((await open(t, trusting, (await trusting.saveKey(key)).token)) instanceof WebSocket)
  t.equal(upstream.requests.length, 1)
})

test('two hundred sockets that come and go at any moment leave nothing behind', async (t) => {
  const failures: unknown[] = []
  const note = (error: unknown) => failures.push(error)
  for (const event of ['unhandledRejection', 'uncaughtException', 'warning']) process.on(event, note)
  t.teardown(() => ['unhandledRejection', 'uncaughtException', 'warning'].map((event) => process.off(event, note)))
  const soakp = await startSoakp(t, PLAIN)
  const { id } = await soakp.saveKey()
  const { token } = await soakp.mint(id, { limits: { parallel_requests: 500 } })
  const before = await promisify(soakp.app.server.getConnections.bind(soakp.app.server))()
  const random = createRandom(20_261_124)
  const url = `ws://localhost:${soakp.port}/v1/realtime`

  async function comeAndGo(): Promise<void> {
    const socket = new WebSocket(url, { headers: { authorization: `Bearer ${token}` } })
    socket.on('error', () => undefined)
    const gone = once(socket, 'close').catch(() => undefined)
    const moment = random.below(5)
    if (moment > 0)
      await Promise.race([once(socket, ['connecting', 'upgrade', 'open', 'message', 'message'][moment] ?? ''), gone])
    if (moment === 4) socket.send(JSON.stringify({ type: 'response.create' }))
    if (random.below(2) === 0) socket.close()
    else socket.terminate()
    await gone
  }

  await Promise.all(Array.from({ length: 200 }, comeAndGo))
  await eventually('the end of all calls', () => soakp.app.unsealed.liveCalls.size === 0)
  await eventually('the end of upstream sockets', () => soakp.upstream.openConnections() <= 1)
  await eventuallyCounts('the end of connections', soakp, before)
  t.strictSame(failures, [])
})

/** Waits until a SOAKP has only so many connections. */
async function eventuallyCounts(what: string, { app }: TestSoakp, most: number): Promise<void> {
  let count = Infinity
  await eventually(what, () => {
    app.server.getConnections((_error, now) => (count = now))
    return count <= most
  })
}
