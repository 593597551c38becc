import { once } from 'node:events'
import { createSecureServer } from 'node:http2'
import { connect as connectPlain, createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import tls from 'node:tls'
import type { Server } from 'node:tls'
import { test } from 'tap'
import type { Test } from 'tap'
import { createCertificateSwap } from '../../services/certificate-swap.ts'
import { ownHandshake } from '../../services/own-handshake.ts'
import { ca, issue, see } from '../support/certificates.ts'

// As in a Node that is started with --tls-min-v1.0 and --tls-max-v1.2: nothing is left to what is the default there.
tls.DEFAULT_MIN_VERSION = 'TLSv1'
tls.DEFAULT_MAX_VERSION = 'TLSv1.2'
const NEW = { maxVersion: 'TLSv1.3' } as const

const [first, second, third] = await Promise.all([issue('first'), issue('second'), issue('third')])

/** A server as SOAKP makes it, which serves the pair `first`. */
async function start(t: Test, host = '127.0.0.1') {
  const server = createSecureServer({ allowHTTP1: true, ticketKeys: Buffer.alloc(48) })
  const swap = createCertificateSwap(server, Date.now)
  swap.begin(first)
  server.listen(0, host)
  await once(server, 'listening')
  t.teardown(() => server.close())
  return { server: server as Server, swap }
}

/** Asserts that every option of TLS is as SOAKP wants it. */
async function holdsOptions(t: Test, server: Server, when: string): Promise<void> {
  const loose = 'DEFAULT@SECLEVEL=0'
  const version = (name: 'TLSv1.1' | 'TLSv1.2') => ({ minVersion: name, maxVersion: name, ciphers: loose })
  await t.rejects(see(server, version('TLSv1.1')), /alert protocol version/, `${when}: TLS 1.1`)
  const weak = { maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-SHA256' } as const
  await t.rejects(see(server, weak), /alert handshake failure/, `${when}: without authenticated encryption`)
  const order = 'ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-GCM-SHA256'
  const chosen = await see(server, { maxVersion: 'TLSv1.2', ciphers: order })
  t.equal(chosen.cipher, 'ECDHE-ECDSA-AES128-GCM-SHA256', `${when}: the order is the server's`)
  t.match(await see(server, NEW), { protocol: 'TLSv1.3' }, `${when}: TLS 1.3`)
  t.match(await see(server, version('TLSv1.2')), { protocol: 'TLSv1.2' }, `${when}: TLS 1.2`)
  const alpn = async (...ALPNProtocols: string[]) => (await see(server, { ALPNProtocols })).alpn
  t.same([await alpn('http/1.1', 'h2'), await alpn('http/1.1')], ['h2', 'http/1.1'], `${when}: ALPN`)
}

test('new connections get the new certificate, and no option of TLS drifts', async (t) => {
  const { server, swap } = await start(t)
  await holdsOptions(t, server, 'at first')
  for (const pair of [second, third, first, second]) await swap.use(pair)
  t.equal((await see(server)).name, 'second')
  const nameless = await see(server, { servername: '', checkServerIdentity: () => undefined })
  t.equal(nameless.name, 'second', 'also who does not say which name')
  t.equal(swap.current?.cert, second.cert)
  await holdsOptions(t, server, 'after swaps')
})

test('swaps that come at once are made one after the other', async (t) => {
  const { server, swap } = await start(t)
  const pairs = [second, { cert: third.cert, key: second.key }, third]
  const ends = await Promise.allSettled(pairs.map((pair) => swap.use(pair)))
  t.same(
    ends.map(({ status }) => status),
    ['fulfilled', 'rejected', 'fulfilled'],
  )
  t.equal((await see(server)).name, 'third')
})

const [expired, early] = await Promise.all([issue('expired', 91), issue('early', -2)])
for (const [what, pair, sentence] of [
  ['another key', { cert: second.cert, key: third.key }, /private key does not belong/],
  ['no PEM', { cert: 'certificate', key: second.key }, /cannot be read/],
  ['a key that is none', { cert: second.cert, key: 'key' }, /cannot be read/],
  ['a certificate that is cut off', { cert: second.cert.slice(0, -40), key: second.key }, /cannot be read/],
  ['a chain that is cut off', { cert: `${second.cert}\n${ca.slice(0, 300)}`, key: second.key }, /cannot be read/],
  ['nothing, with which setSecureContext ends all handshakes', { cert: '', key: '' }, /cannot be read/],
  ['an expired pair', expired, /^The certificate expired at \d{4}-/],
  ['a pair of tomorrow', early, /^The certificate is not valid before .* Is the clock right/],
] as const) {
  test(`${what} never replaces a good pair`, async (t) => {
    const { server, swap } = await start(t)
    const { session } = await see(server, { ...NEW, wantsSession: true })
    await t.rejects(swap.use(pair), { code: 'SOAKP_CERTIFICATE_REFUSED', message: sentence })
    t.equal((await see(server)).name, 'first', 'the old pair goes on')
    t.equal((await see(server, { ...NEW, session })).isResumed, true, 'and its sessions too')
    t.equal(swap.current?.cert, first.cert)
    await swap.use(second)
    t.equal((await see(server)).name, 'second', 'and the next good one is taken')
  })
}

test('a pair out of time may be the first, one that is broken may not', async (t) => {
  const swap = createCertificateSwap(createSecureServer(), Date.now)
  t.throws(() => swap.begin({ cert: first.cert, key: second.key }), { code: 'SOAKP_CERTIFICATE_REFUSED' })
  t.equal(swap.current, undefined)
  swap.begin(expired)
  t.equal(swap.current?.cert, expired.cert)
})

test('when a handshake with the new pair fails, the one before is served again', async (t) => {
  const { server, swap } = await start(t)
  server.maxConnections = 0
  const failed = { code: 'SOAKP_CERTIFICATE_HANDSHAKE', message: /the one before is served again/ }
  await t.rejects(swap.use(second), failed)
  delete (server as { maxConnections?: number }).maxConnections
  t.equal((await see(server)).name, 'first')
  t.equal(swap.current?.cert, first.cert)
  await holdsOptions(t, server, 'after the way back')
  await swap.use(second)
  t.equal((await see(server)).name, 'second', 'it may be tried again')
})

test('when another certificate than the new one is served, it goes back', async (t) => {
  const { server, swap } = await start(t)
  const setSecureContext = server.setSecureContext.bind(server)
  let calls = 0
  server.setSecureContext = (options) => {
    calls += 1
    setSecureContext(calls === 1 ? { ...options, cert: third.cert, key: third.key } : options)
  }
  const swapped = swap.use(second)
  await t.rejects(swapped, {
    code: 'SOAKP_CERTIFICATE_HANDSHAKE',
    cause: { message: /another certificate was served/ },
  })
  t.equal((await see(server)).name, 'first')
})

test('a handshake that does not come to an end is given up', async (t) => {
  const silent = createServer((socket) => void socket.resume())
  silent.listen(0, '127.0.0.1')
  await once(silent, 'listening')
  t.teardown(() => silent.close())
  await t.rejects(ownHandshake(silent as Server, 'localhost', 50), /no handshake within 50 ms/)
})

for (const host of ['0.0.0.0', '::', '::1', '127.0.0.1']) {
  test(`a server that listens on ${host} is reached by itself`, async (t) => {
    const { server, swap } = await start(t, host)
    server.on('tlsClientError', (error) => t.fail(error))
    const served = once(server, 'secureConnection').then(([socket]) => once(socket, 'close'))
    await swap.use(second)
    await t.resolves(served, 'it hangs up in order')
  })
}

for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
  test(`with ${version} a session does not keep the old certificate`, async (t) => {
    const { server, swap } = await start(t)
    const only = { minVersion: version, maxVersion: version }
    const { session } = await see(server, { ...only, wantsSession: true })
    t.match(await see(server, { ...only, session }), { isResumed: true }, 'sessions are resumed')
    await swap.use(second)
    t.match(await see(server, { ...only, session }), { name: 'second', isResumed: false })
    await swap.use(first)
    t.match(await see(server, { ...only, session }), { isResumed: false }, 'nor does its ticket come back with it')
  })
}

test('a connection that was accepted before the swap still gets through its handshake', async (t) => {
  const { server, swap } = await start(t)
  const { port } = server.address() as AddressInfo
  const socket = connectPlain(port, '127.0.0.1')
  await Promise.all([once(socket, 'connect'), once(server, 'connection')])
  await swap.use(second)
  t.equal((await see(server, { socket })).name, 'first')
  t.equal((await see(server)).name, 'second')
})
