import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import tls from 'node:tls'
import { test } from 'tap'
import type { Test } from 'tap'
import { describeNoAnswer } from '../../services/acme/no-answer.ts'
import { readRetryAfter } from '../../services/retry-after.ts'
import { systemClock } from '../../services/clock.ts'
import { createLocalAuthority, issueLocalCertificate } from '../../services/local-authority.ts'
import { changed, html, refusal, startAcmeServer } from '../support/acme-server/index.ts'
import type { AcmeServer, Answer } from '../support/acme-server/index.ts'
import { never, openClient, problemOf } from '../support/acme-client.ts'

const names = ['a.soakp.test']

async function signIn(t: Test, server: AcmeServer) {
  const client = openClient(t, server)
  await client.findOrMakeAccount({ email: undefined }, never)
  return client
}

/** Changes fields of an answer's document. */
function withFields(fields: Readonly<Record<string, unknown>>) {
  return changed((answer) => ({ ...answer, body: { ...(answer.body as object), ...fields } }))
}

test('an authority whose TLS certificate is not trusted names the setting that helps', async (t) => {
  const { directory } = await startAcmeServer(t)
  const error = await problemOf(openClient(t, { directory, roots: undefined }).readDirectory(never))
  t.match(error, { code: 'SOAKP_ACME_UNREACHABLE', problem: undefined, message: /SOAKP_ACME_CA_FILE/ })
})

test('an authority that speaks nothing newer than TLS 1.1 is not talked to, whatever the defaults of Node', async (t) => {
  const { DEFAULT_MIN_VERSION, DEFAULT_CIPHERS } = tls
  Object.assign(tls, { DEFAULT_MIN_VERSION: 'TLSv1', DEFAULT_CIPHERS: 'DEFAULT@SECLEVEL=0' })
  t.teardown(() => Object.assign(tls, { DEFAULT_MIN_VERSION, DEFAULT_CIPHERS }))
  const authority = await createLocalAuthority(new Date())
  const { certificatePem, privateKeyPem } = await issueLocalCertificate(authority, ['127.0.0.1'], new Date())
  let handshakes = 0
  const server = tls.createServer({ cert: certificatePem, key: privateKeyPem, maxVersion: 'TLSv1.1' }, (socket) => {
    handshakes += 1
    socket.destroy()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const directory = `https://127.0.0.1:${(server.address() as AddressInfo).port}/`
  const client = openClient(t, { directory, roots: authority.certificatePem })
  t.match((await problemOf(client.readDirectory(never))).message, /does not speak TLS as it should/)
  t.equal(handshakes, 0)
})

test('what gives no answer is put into words, with what to do', async (t) => {
  const say = (code: string) => describeNoAnswer('ca.test', Object.assign(new Error('x'), { code }))
  t.match(say('ENOTFOUND'), 'The name ca.test does not resolve')
  t.match(say('EAI_AGAIN'), 'does not resolve')
  t.match(say('CERT_HAS_EXPIRED'), 'clock')
  t.match(say('ERR_TLS_CERT_ALTNAME_INVALID'), 'another name')
  t.match(say('UND_ERR_CONNECT_TIMEOUT'), 'firewall')
  t.match(say('ENEW'), 'ENEW')
  t.match(describeNoAnswer('ca.test', new TypeError('x', { cause: { code: 'no error' } })), 'TypeError')
})

test('a port that speaks something else is told apart', async (t) => {
  const server = await startAcmeServer(t, { hasTls: false })
  const https = server.directory.replace('http:', 'https:')
  t.match((await problemOf(openClient(t, { ...server, directory: https }).readDirectory(never))).message, /speak TLS/)
  const other = createServer((socket) => socket.on('error', () => undefined).end('220 mail.test ESMTP\r\n'))
  other.listen(0, '127.0.0.1')
  await once(other, 'listening')
  t.teardown(() => other.close())
  const directory = `http://127.0.0.1:${(other.address() as AddressInfo).port}/`
  t.match((await problemOf(openClient(t, { directory, roots: undefined }).readDirectory(never))).message, /HTTP server/)
})

test('HTML, cut JSON and no JSON at all are errors without a problem', async (t) => {
  const server = await startAcmeServer(t)
  const client = openClient(t, server)
  for (const fault of [html(200), () => ({ status: 200, body: '{"newNonce":"https://' }), () => ({ status: 200 })]) {
    server.fail('directory', fault)
    const error = await problemOf(client.readDirectory(never))
    t.match(error, { problem: undefined, answered: 200, message: /is no ACME directory/ })
  }
  server.fail('directory', () => ({ status: 200, headers: { 'content-length': '999' }, body: '{}' }))
  t.match((await problemOf(openClient(t, server, { timeoutMs: 200 }).readDirectory(never))).problem, undefined)
  await client.findOrMakeAccount({ email: undefined }, never)
  server.fail('newOrder', html(502))
  t.match(await problemOf(client.createOrder({ names }, never)), { problem: undefined, answered: 502 })
  server.fail('newOrder', html(403))
  t.match((await problemOf(client.createOrder({ names }, never))).message, /proxies/)
  server.fail(
    'newOrder',
    changed((answer) => ({ ...answer, body: '[]' })),
  )
  t.match((await problemOf(client.createOrder({ names }, never))).message, /is no order/)
})

test('a 503 tells when to ask again, in seconds or as a date on the clock of the authority', async (t) => {
  const server = await startAcmeServer(t, { hasTls: false })
  const client = openClient(t, server)
  const date = 'Wed, 01 Jan 2020 00:00:00 GMT'
  for (const [retryAfter, expected] of [
    ['120', 120_000],
    ['Wed, 01 Jan 2020 00:05:00 GMT', 300_000],
    ['Tue, 31 Dec 2019 00:05:00 GMT', 0],
    ['tomorrow', undefined],
    ['-5', undefined],
    ['99999999999999999999', 31 * 86_400_000],
  ] as const) {
    server.fail('directory', () => ({ status: 503, headers: { date, 'retry-after': retryAfter } }))
    t.match(await problemOf(client.readDirectory(never)), { answered: 503, retryAfterMs: expected }, retryAfter)
  }
  const clock = { ...systemClock, now: () => Date.UTC(2020, 0, 1) }
  t.equal(readRetryAfter({ 'retry-after': 'Wed, 01 Jan 2020 00:00:09 GMT' }, clock), 9000)
})

test('a redirect is not followed', async (t) => {
  const [server, other] = [await startAcmeServer(t), await startAcmeServer(t)]
  server.fail('directory', () => ({ status: 301, headers: { location: other.directory } }))
  const error = await problemOf(openClient(t, server).readDirectory(never))
  t.match(error, { answered: 301, message: `redirect to ${other.origin}` })
  t.equal(other.requests.length, 0)
})

test('an answer without end is cut off', async (t) => {
  const server = await startAcmeServer(t, { hasTls: false })
  server.fail('directory', () => ({ status: 200, body: ' '.repeat(1_100_000) }))
  t.match((await problemOf(openClient(t, server).readDirectory(never))).message, /more than a mebibyte/)
})

test('what a directory leads to must be HTTPS, as it is itself', async (t) => {
  const [server, plain] = [await startAcmeServer(t), await startAcmeServer(t, { hasTls: false })]
  for (const newNonce of [`${plain.origin}/new-nonce`, 'ftp://ca.test/', 'new-nonce', 'https://me:pw@ca.test/']) {
    const client = openClient(t, server)
    server.fail('directory', withFields({ newNonce }))
    t.match(await problemOf(client.findAccount(never)), { problem: undefined, message: /names/ }, newNonce)
  }
  t.equal(plain.requests.length, 0)
  const { code } = await problemOf(
    openClient(t, { directory: 'http://ca.test/dir', roots: undefined }).readDirectory(never),
  )
  t.equal(code, 'SOAKP_ACME_UNREACHABLE')
})

test('the directory is read once a day, and again after what says that it has changed', async (t) => {
  let now = Date.UTC(2026, 10, 1)
  const server = await startAcmeServer(t, { hasTls: false, now: () => now })
  const client = openClient(t, server, { clock: { ...systemClock, now: () => now } })
  t.equal((await client.readDirectory(never)).clockOffsetMs, 500, 'the header has whole seconds')
  await client.findOrMakeAccount({ email: undefined }, never)
  t.equal(server.count('directory'), 1)
  now += 86_400_000
  await client.createOrder({ names }, never)
  t.equal(server.count('directory'), 2)
  server.fail('newOrder', html(404))
  await problemOf(client.createOrder({ names }, never))
  await client.createOrder({ names }, never)
  t.equal(server.count('directory'), 3)
})

test('an order of a status that nobody knows is an error, an unknown profile or field is not', async (t) => {
  const server = await startAcmeServer(t)
  const client = await signIn(t, server)
  server.fail('newOrder', withFields({ status: 'marinating' }))
  t.match((await problemOf(client.createOrder({ names }, never))).message, /unknown status/)
  server.fail('newOrder', withFields({ profile: 7, expires: 'soon', identifiers: [null, { type: 'ip', value: '1' }] }))
  t.match(await client.createOrder({ names }, never), { profile: undefined, expires: undefined, names: [] })
})

test('what an authority writes cannot move the cursor or break a line', async (t) => {
  const server = await startAcmeServer(t)
  const client = await signIn(t, server)
  server.fail('newOrder', refusal('caa', { detail: 'red \u001b[31m\r\nline\u2028two\u202e'.padEnd(5000, '!') }))
  const { message, problem } = await problemOf(client.createOrder({ names }, never))
  t.match(message, /red \[31m line two !!!/)
  t.ok(message.length < 1300)
  t.notMatch(problem?.detail, /[\p{Cc}\p{Cf}\u2028]/u)
})

test('an answer of a success without what matters is an error', async (t) => {
  const server = await startAcmeServer(t)
  const client = await signIn(t, server)
  const withoutLocation = changed(({ headers, ...answer }): Answer => {
    const { location, ...rest } = headers ?? {}
    t.ok(location)
    return { ...answer, headers: rest }
  })
  server.fail('newOrder', withoutLocation)
  t.match((await problemOf(client.createOrder({ names }, never))).message, /order without an address/)
  server.fail('newAccount', withoutLocation)
  t.match((await problemOf(client.findAccount(never))).message, /account's address/)
  server.fail('newAccount', withFields({ status: 'deactivated' }))
  t.match((await problemOf(client.findAccount(never))).message, /is deactivated/)
})
