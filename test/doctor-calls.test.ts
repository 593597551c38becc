import { rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { test } from 'tap'
import { startPracticeUpstream } from '../practice/upstream.ts'
import type { Finding } from '../services/doctor/finding.ts'
import { checkUpstreams } from '../services/doctor/upstream.ts'
import { createLocalAuthority, issueLocalCertificate } from '../services/local-authority.ts'
import { upstreamError } from '../services/upstream-errors.ts'
import { examine, isFault, listen, stoppedSoakp } from './support/doctor.ts'
import { startSoakp, temporaryFolder } from './support/soakp.ts'

const DAY_MS = 86_400_000

test('a port that another program has, or that is none of this machine, is a fault', async (t) => {
  const SOAKP_PORT = String(
    await listen(
      t,
      createServer((socket) => socket.end('220 hello\r\n')),
    ),
  )
  const environment = { SOAKP_DATA_DIR: await temporaryFolder(t), SOAKP_PORT }
  isFault(t, (await examine(environment))['port'], /is in use by another program/, /SOAKP_PORT/)
  const elsewhere = { ...environment, SOAKP_HOST: '198.51.100.7' }
  isFault(t, (await examine(elsewhere))['port'], /SOAKP_HOST \(198\.51\.100\.7\) is no address/, /127\.0\.0\.1/)
})

test('an upstream that cannot be reached, is silent or has a private address is a fault', async (t) => {
  const SOAKP_DATA_DIR = await temporaryFolder(t)
  const upstream = async (url: string) => examine({ SOAKP_DATA_DIR, SOAKP_UPSTREAM: url }, { networkMs: 300 })
  const closed = await startPracticeUpstream()
  await closed.close()
  const refused = await upstream(closed.url)
  isFault(t, refused['upstream'], /cannot be reached \(ECONNREFUSED\)/, /Nothing listens there/)
  t.match(refused['upstream-certificate'], { status: 'skipped' })
  t.match(refused['keys'], { status: 'skipped' })
  const silent = await listen(t)
  isFault(t, (await upstream(`http://127.0.0.1:${silent}/v1`))['upstream'], /does not answer/, /firewall/)
  const answer = (cause: Error) => ({
    baseUrl: 'https://api.example.com/v1',
    error: upstreamError(cause),
    aheadSeconds: undefined,
  })
  const unknown = checkUpstreams([{ ...answer(new Error('getaddrinfo')), code: 'ENOTFOUND' }])
  isFault(t, unknown as Finding, /cannot be reached \(ENOTFOUND\)/, /\(DNS\)/)
  isFault(t, (await upstream('http://169.254.1.1/v1'))['upstream'], /has a private address/, /./)
})

test('an upstream whose certificate proves nothing is a fault, and nothing is sent there', async (t) => {
  const { environment, dataDir } = await stoppedSoakp(t)
  const authority = await createLocalAuthority(new Date())
  const certificate = async (name: string, daysAgo = 0) => {
    const issued = await issueLocalCertificate(authority, [name], new Date(Date.now() - daysAgo * DAY_MS))
    const started = await startPracticeUpstream({ tls: { cert: issued.certificatePem, key: issued.privateKeyPem } })
    t.teardown(() => started.close())
    return started
  }
  const SOAKP_UPSTREAM_CA_FILE = join(dataDir, 'upstream.pem')
  await writeFile(SOAKP_UPSTREAM_CA_FILE, authority.certificatePem)
  const [good, misnamed, expired] = await Promise.all([
    certificate('127.0.0.1'),
    certificate('other.test'),
    certificate('127.0.0.1', 100),
  ])
  const fresh = { ...environment, SOAKP_DATA_DIR: await temporaryFolder(t) }
  const found = async (SOAKP_UPSTREAM: string, more = {}) =>
    (await examine({ ...fresh, SOAKP_UPSTREAM, ...more }))['upstream-certificate']
  isFault(t, await found(good.url), /is not trusted \(\w+\)/, /SOAKP_UPSTREAM_CA_FILE/)
  t.match(await found(good.url, { SOAKP_UPSTREAM_CA_FILE }), { status: 'ok', message: 'It is trusted.' })
  isFault(t, await found(misnamed.url, { SOAKP_UPSTREAM_CA_FILE }), /ALTNAME/, /another name/)
  isFault(t, await found(expired.url, { SOAKP_UPSTREAM_CA_FILE }), /EXPIRED/, /clock/)
  t.same([...misnamed.requests, ...expired.requests], [], 'nothing was sent to them')
})

test('a clock that differs from the upstream or lies before the newest record is a fault', async (t) => {
  const { environment, upstream } = await stoppedSoakp(t)
  const clock = async (offMs: number) => (await examine(environment, { now: () => Date.now() + offMs }))['clock']
  isFault(t, await clock(600_000), /is (?:599|600|601) s ahead of that of http/, /Set the clock/)
  isFault(t, await clock(-600_000), /is (?:599|600|601) s behind that of http/, /Set the clock/)
  upstream.handle('GET', '/v1/models', (_, response) => {
    response.sendDate = false
    response.end('{}')
  })
  isFault(t, await clock(-600_000), /^The newest record is of \d{4}-\S+Z, which has not come yet/, /Set the clock/)
  t.match(await clock(0), { status: 'ok', message: /no upstream told the time/ })
})

test('a key that the upstream refuses is a fault that names it; one it does not answer for holds nothing up', async (t) => {
  const server = await startSoakp(t)
  const { upstream } = server
  const [good, bad] = await Promise.all([
    server.saveKey(),
    server.saveKey({ name: 'old', key: `${upstream.key}-of-2023` }),
  ])
  const environment = { SOAKP_DATA_DIR: server.dataDir, SOAKP_UPSTREAM: upstream.url }
  const { keys } = await examine(environment)
  isFault(
    t,
    keys,
    new RegExp(`^The upstream refuses ${bad.id} \\(old\\)\\.$`),
    new RegExp(`soakp keys replace ${bad.id}`),
  )
  t.notMatch(JSON.stringify(keys), good.id)
  upstream.handle('GET', '/v1/models', (request, response) => {
    if (request.headers.authorization === undefined) response.end('{}')
  })
  const hanging = await examine(environment, { networkMs: 300 })
  t.match(hanging['keys'], { status: 'warning', message: new RegExp(`no answer in 0.3 s for .*${good.id}`) })
})

test('certificate files that do not belong together or have expired are a fault, before their end a warning', async (t) => {
  const folder = await temporaryFolder(t)
  const authority = await createLocalAuthority(new Date())
  const files = { SOAKP_TLS_CERT_FILE: join(folder, 'cert.pem'), SOAKP_TLS_KEY_FILE: join(folder, 'key.pem') }
  const environment = { SOAKP_DATA_DIR: folder, SOAKP_TLS: 'files', ...files }
  const put = async (daysAgo: number) => {
    const at = new Date(Date.now() - daysAgo * DAY_MS)
    const { certificatePem, privateKeyPem } = await issueLocalCertificate(authority, ['localhost'], at)
    await writeFile(files.SOAKP_TLS_CERT_FILE, certificatePem)
    await writeFile(files.SOAKP_TLS_KEY_FILE, privateKeyPem)
    return (await examine(environment))['certificate']
  }
  t.match(await put(0), { status: 'ok', message: /is good until \d{4}/ })
  t.match(await put(80), { status: 'warning', remedy: /^Renew it/ })
  isFault(t, await put(100), /expired at/, /./)
  await writeFile(files.SOAKP_TLS_KEY_FILE, authority.privateKeyPem)
  isFault(t, (await examine(environment))['certificate'], /does not belong to the certificate/, /./)
  await rm(files.SOAKP_TLS_CERT_FILE)
  isFault(t, (await examine(environment))['certificate'], /SOAKP_TLS_CERT_FILE names \S+, which cannot be read/, /./)
})

test('an origin may call, or the remedy says how it may, and which tokens name it is told', async (t) => {
  const server = await startSoakp(t, { SOAKP_ALLOWED_ORIGINS: 'https://ours.example.com' })
  const { id } = await server.saveKey()
  const named = await server.mint(id, { origins: ['https://app.example.com'] })
  const revoked = await server.mint(id, { origins: ['https://gone.example.com'] })
  const other = await server.mint(id, { origins: ['https://app.example.com'] })
  for (const each of [revoked, other]) await server.manage('DELETE', `/soakp/tokens/${each.id}`)
  const environment = { SOAKP_DATA_DIR: server.dataDir, SOAKP_UPSTREAM: server.upstream.url }
  const may = async (origin: string) => (await examine(environment, { origin }))['origin']
  t.match(await may('https://ours.example.com'), { status: 'ok', message: /may call, with tokens that name no origin/ })
  t.match(await may('https://app.example.com'), { status: 'ok', message: `the tokens that name it: ${named.id}.` })
  t.match(await may('http://localhost:5173'), { status: 'ok' }, 'SOAKP on loopback allows local pages')
  const sentence = /^Pages of https:\/\/gone\.example\.com may not call/
  isFault(t, await may('https://gone.example.com'), sentence, /SOAKP_ALLOWED_ORIGINS.*tokens add --origin/)
})
