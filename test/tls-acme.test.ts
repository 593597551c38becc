import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { join } from 'node:path'
import { test } from 'tap'
import type { Test } from 'tap'
import { certificateFaults } from '../services/certificate-readiness.ts'
import { createWithStandIn, createStandIn, startWithStandIn } from './support/certificates-stand-in.ts'
import { issue, see } from './support/certificates.ts'
import { run } from './support/process.ts'
import { startSoakp, temporaryFolder } from './support/soakp.ts'
import { eventually } from './support/wire.ts'

const DAY_MS = 86_400_000

/** An authority that does not answer, and a provider that does nothing. */
const DOMAIN = {
  SOAKP_DOMAIN: 'ai.soakp.test',
  SOAKP_HOST: '127.0.0.1',
  SOAKP_ACME_DIRECTORY: 'https://127.0.0.1:9/directory',
  SOAKP_DNS: 'exec',
  EXEC_PATH: '/bin/false',
}

test('until there is a certificate the local one is served and SOAKP is degraded; then it is ready', async (t) => {
  const soakp = await startWithStandIn(t)
  const authority = await readFile(join(soakp.dataDir, 'local-authority.pem'), 'utf8')
  await t.resolves(see(soakp.server, { ca: authority }), 'a handshake with the local authority')
  const { status, reasons = [] } = await soakp.ready()
  t.equal(status, 'degraded')
  t.match(reasons, [/^There is no certificate of SOAKP_DOMAIN yet; that of the local authority is served instead\./])
  t.notMatch(reasons.join(''), /soakp\.test/, 'which anybody may read: it names nothing')

  await soakp.certificates.use(await issue('first'))
  t.equal((await see(soakp.server)).name, 'first')
  t.strictSame(await soakp.ready(), { status: 'ready' })
  await soakp.certificates.use(await issue('second'))
  t.equal((await see(soakp.server)).name, 'second')
})

test('the stored certificate is served first, also an expired one until there is a better one', async (t) => {
  const stored = await issue('stored')
  const good = await startWithStandIn(t, { certificates: createStandIn(async () => stored) })
  t.equal((await see(good.server)).name, 'stored')
  t.strictSame(await good.ready(), { status: 'ready' })

  const expired = await issue('expired', 91)
  const old = await startWithStandIn(t, { certificates: createStandIn(async () => expired) })
  t.equal((await see(old.server, { rejectUnauthorized: false })).name, 'expired')
  t.match(await old.ready(), {
    status: 'degraded',
    reasons: [/^The certificate has expired and is served all the same/],
  })
  await old.certificates.use(stored)
  t.equal((await see(old.server)).name, 'stored')
  t.strictSame(await old.ready(), { status: 'ready' })
})

test('a stored certificate that is broken, or cannot be read, does not hinder the start', async (t) => {
  const [one, other] = await Promise.all([issue('one'), issue('other')])
  for (const current of [
    async () => ({ ...one, key: other.key }),
    async () => ({ ...one, cert: '' }),
    () => Promise.reject(new Error('sealed by another key')),
  ]) {
    const soakp = await startWithStandIn(t, { certificates: createStandIn(current) })
    t.match(await soakp.ready(), { status: 'degraded', reasons: [/local authority/] })
    t.match(soakp.logs.join(''), /"msg":"stored certificate not used"/)
    await soakp.certificates.use(one)
    t.equal((await see(soakp.server)).name, 'one')
  }
})

test('a pair that is refused changes neither what is served nor the readiness', async (t) => {
  const soakp = await startWithStandIn(t)
  const [one, other, expired] = await Promise.all([issue('one'), issue('other'), issue('expired', 91)])
  await t.rejects(soakp.certificates.use({ ...one, key: other.key }), { code: 'SOAKP_CERTIFICATE_REFUSED' })
  t.match(await soakp.ready(), { status: 'degraded', reasons: [/local authority/] })
  await soakp.certificates.use(one)
  await t.rejects(soakp.certificates.use(expired), { code: 'SOAKP_CERTIFICATE_REFUSED' })
  soakp.server.maxConnections = 0
  await t.rejects(soakp.certificates.use(other), { code: 'SOAKP_CERTIFICATE_HANDSHAKE' })
  delete (soakp.server as { maxConnections?: number }).maxConnections
  t.equal((await see(soakp.server)).name, 'one')
  t.strictSame(await soakp.ready(), { status: 'ready' })
})

test('nothing is ordered by a SOAKP that does not listen, or whose data folder is another one’s', async (t) => {
  const first = await createWithStandIn(t)
  await first.ready()
  t.notOk(first.certificates.isStarted(), 'before it listens')
  await first.listen()
  await eventually('it starts', first.certificates.isStarted)

  const second = await createWithStandIn(t, { dataDir: first.dataDir })
  await second.listen()
  await eventually('it says so', () => second.logs.some((line) => /certificate not watched/.test(line)))
  t.notOk(second.certificates.isStarted())
  t.match(await second.ready(), { status: 'degraded' }, 'it serves all the same')
})

test('getting certificates ends with SOAKP, however it ends', async (t) => {
  const soakp = await startWithStandIn(t)
  await soakp.app.close()
  t.equal(soakp.certificates.closings(), 1)

  const failing = { ...createStandIn(async () => undefined), close: () => Promise.reject(new Error('broken')) }
  const other = await startWithStandIn(t, { certificates: failing })
  await t.resolves(other.app.close())
  t.match(other.logs.join(''), /"msg":"getting certificates not ended well"/)
})

test('one that does not end is not waited for, but what has to be written after it is', async (t) => {
  const script = `
    import { createServer } from './fastify.config.ts'
    import { readConfiguration } from './services/configuration.ts'
    const { configuration } = readConfiguration(process.env, '/')
    const never = () => new Promise(() => undefined)
    const certificates = { start() {}, current: async () => undefined, status: never, close: never }
    const app = await createServer({ configuration, certificates })
    await app.listen({ host: '127.0.0.1', port: 0 })
    app.close().then(() => console.log(app.unsealed.dispatcher.destroyed))`
  const environment = { ...DOMAIN, SOAKP_DATA_DIR: await temporaryFolder(t), SOAKP_LOG_LEVEL: 'silent' }
  const { stdout, stderr } = await run(t, process.execPath, ['--input-type=module', '-e', script], { environment })
    .ended
  t.equal(stdout, 'true\n', stderr)
})

test('a certificate about to expire is a fault when its renewal has failed, a revoked one always', async (t) => {
  const now = Date.now()
  const served = (daysLeft: number) => ({
    isLocal: false,
    notBefore: new Date(now + (daysLeft - 90) * DAY_MS),
    notAfter: new Date(now + daysLeft * DAY_MS),
  })
  const last_error = { at: 0, code: 'SOAKP_ACME', problem: null, message: '' }
  const [good, bad] = [{ state: 'due', last_error: null } as const, { state: 'due', last_error } as const]
  t.same(certificateFaults(served(15.1), bad, now), [], 'a sixth of its time is left')
  t.same(certificateFaults(served(14.9), good, now), [], 'it is late, but nothing is known to fail')
  t.match(certificateFaults(served(14.9), bad, now), [/expires soon, and its last renewal failed/])
  t.match(certificateFaults(served(0), good, now), [/has expired/])
  t.match(certificateFaults(served(80), { ...good, state: 'revoked' }, now), [/was revoked/])
  t.same(certificateFaults(served(1), undefined, now), [], 'what cannot be told is no fault')

  const soakp = await startWithStandIn(t, { certificates: createStandIn(() => issue('late', 80)) })
  t.strictSame(await soakp.ready(), { status: 'ready' })
  soakp.certificates.tell({ last_error })
  t.match(await soakp.ready(), { status: 'degraded', reasons: [/expires soon/] })
})

/** Starts a SOAKP that asks the authority on this port of loopback. */
async function startWithAuthority(t: Test, port: number) {
  const logs: string[] = []
  const SOAKP_ACME_DIRECTORY = `https://127.0.0.1:${port}/directory`
  const environment = { ...DOMAIN, SOAKP_ACME_DIRECTORY, SOAKP_LOG_LEVEL: 'info' }
  const soakp = await startSoakp(t, environment, { logs })
  const find = (kind: string) => logs.map((line) => JSON.parse(line)).find((record) => record.kind === kind)
  return { ...soakp, find }
}

test('what happens is logged in words, a failure as an error', async (t) => {
  const soakp = await startWithAuthority(t, 9)
  await eventually('the attempt fails', () => soakp.find('attempt-failed') !== undefined)
  const { attempt, ...started } = soakp.find('attempt-started')
  t.match(started, { level: 'info', directory: 'https://127.0.0.1:9/directory', msg: /^An attempt began/ })
  t.notOk('code' in started, 'what there is nothing to say of is left out')
  const failed = { level: 'error', attempt, code: 'SOAKP_ACME_UNREACHABLE', duration_ms: Number, msg: /127\.0\.0\.1:9/ }
  t.match(soakp.find('attempt-failed'), failed)
  t.match(soakp.find('attempt-failed'), { error: { cause: { code: 'ECONNREFUSED' } } }, 'and with what is behind it')
  t.match((await soakp.app.inject('/soakp/ready')).json(), { status: 'degraded' })
})

test('SOAKP stops at once while an authority is silent', async (t) => {
  const silent = createServer()
  silent.listen(0, '127.0.0.1')
  await once(silent, 'listening')
  t.teardown(() => silent.close())
  const asked = once(silent, 'connection')
  const soakp = await startWithAuthority(t, (silent.address() as AddressInfo).port)
  const [connection] = (await asked) as [Socket]
  t.teardown(() => connection.destroy())
  const begun = performance.now()
  await soakp.app.close()
  const tookMs = performance.now() - begun
  t.ok(tookMs < 20_000, `it took ${tookMs.toFixed(0)} ms`)
})
