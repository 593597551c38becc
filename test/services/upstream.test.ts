import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { createServer } from 'node:net'
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { test } from 'tap'
import { errors } from 'undici'
import { readableBody } from '../../services/content-encoding.ts'
import { createDispatcher } from '../../services/dispatcher.ts'
import { SoakpError } from '../../services/errors.ts'
import { upstreamError } from '../../services/upstream-errors.ts'
import { damaged } from '../support/damaged.ts'

const errorOf = (code: string) => Object.assign(new Error(`connect ${code} 10.0.0.5:443 sk-canary`), { code })

test('why an upstream call failed is said in our words, with the cause for the log only', (t) => {
  const cases: Record<string, [number, string]> = {
    ECONNREFUSED: [502, 'SOAKP_UPSTREAM_UNREACHABLE'],
    ENOTFOUND: [502, 'SOAKP_UPSTREAM_UNREACHABLE'],
    ECONNRESET: [502, 'SOAKP_UPSTREAM_UNREACHABLE'],
    UND_ERR_SOCKET: [502, 'SOAKP_UPSTREAM_UNREACHABLE'],
    UND_ERR_CONNECT_TIMEOUT: [504, 'SOAKP_UPSTREAM_TIMEOUT'],
    UND_ERR_HEADERS_TIMEOUT: [504, 'SOAKP_UPSTREAM_TIMEOUT'],
    ETIMEDOUT: [504, 'SOAKP_UPSTREAM_TIMEOUT'],
    UND_ERR_INVALID_ARG: [400, 'SOAKP_REQUEST_INVALID'],
    CERT_HAS_EXPIRED: [502, 'SOAKP_UPSTREAM_CERTIFICATE'],
    DEPTH_ZERO_SELF_SIGNED_CERT: [502, 'SOAKP_UPSTREAM_CERTIFICATE'],
    SELF_SIGNED_CERT_IN_CHAIN: [502, 'SOAKP_UPSTREAM_CERTIFICATE'],
    UNABLE_TO_VERIFY_LEAF_SIGNATURE: [502, 'SOAKP_UPSTREAM_CERTIFICATE'],
    ERR_TLS_CERT_ALTNAME_INVALID: [502, 'SOAKP_UPSTREAM_CERTIFICATE'],
    UND_ERR_HEADERS_OVERFLOW: [502, 'SOAKP_UPSTREAM_MALFORMED'],
  }
  for (const [name, [statusCode, code]] of Object.entries(cases)) {
    const cause = errorOf(name)
    const error = upstreamError(cause)
    t.match(error, { statusCode, code, cause }, name)
    t.notMatch(error.message, /canary|10\.0\.0\.5/, 'and nothing of the cause')
    const several = new AggregateError([cause, errorOf('EOTHER')])
    t.match(upstreamError(several), { statusCode, code }, `${name} of several addresses`)
  }
  const malformed = upstreamError(new errors.HTTPParserError('Expected HTTP/ sk-canary'))
  t.match(malformed, { statusCode: 502, code: 'SOAKP_UPSTREAM_MALFORMED', message: /^[^-]*$/ })
  const ours = new SoakpError(502, 'SOAKP_UPSTREAM_ADDRESS', 'Ours.')
  t.equal(upstreamError(ours), ours)
  for (const odd of [undefined, null, 'text', {}, new AggregateError([])]) {
    t.match(upstreamError(odd), { statusCode: 502, code: 'SOAKP_UPSTREAM_UNREACHABLE' })
  }
  t.end()
})

test('an encoded error body is decoded to be searched, whole or cut short, and a bomb is not', async (t) => {
  const text = `{"error":{"message":"${'x'.repeat(5_000)} sk-canary"}}`
  const body = Buffer.from(text)
  const encoded = { gzip: gzipSync(body), 'x-gzip': gzipSync(body), deflate: deflateSync(body) }
  const all = Object.entries({ ...encoded, br: brotliCompressSync(body), zstd: zstdCompressSync(body) })
  for (const [encoding, bytes] of all) {
    t.equal(String(await readableBody(bytes, encoding)), text, encoding)
    t.equal(String(await readableBody(bytes, ` ${encoding.toUpperCase()} `)), text, `${encoding} in capitals`)
    t.same(await readableBody(Buffer.from('not encoded'), encoding), Buffer.from('not encoded'), `${encoding}, damaged`)
    t.same(await readableBody(Buffer.alloc(0), encoding), Buffer.alloc(0))
  }
  const long = Buffer.from(`sk-canary ${'0123456789'.repeat(10_000)}`)
  const cut = await readableBody(gzipSync(long).subarray(0, 200), 'gzip')
  t.ok(cut?.includes('sk-canary'), 'what has come of a longer body is searched')
  for (const encoding of ['', 'identity', 'unknown', 'constructor', '__proto__']) {
    t.same(await readableBody(body, encoding), body, encoding)
  }
  const bomb = Buffer.alloc(2_000_000)
  t.equal(await readableBody(gzipSync(bomb), 'gzip'), undefined)
  t.equal(await readableBody(brotliCompressSync(bomb), 'br'), undefined)
  t.equal(await readableBody(zstdCompressSync(bomb), 'zstd'), undefined)
})

test('what is decoded to be searched is bounded, also in frames, and what is damaged is searched as it came, too', async (t) => {
  const frames = (count: number) => Buffer.concat(Array.from({ length: count }, () => zstdCompressSync('a')))
  t.equal(String(await readableBody(frames(64), 'zstd')), 'a'.repeat(64))
  t.equal(await readableBody(frames(65), 'zstd'), undefined)
  const half = zstdCompressSync(Buffer.alloc(600_000))
  t.equal(await readableBody(Buffer.concat([half, half]), 'zstd'), undefined)
  const broken = damaged(gzipSync('{"message":"nothing to see"}'.repeat(20)), 30)
  t.ok((await readableBody(broken, 'gzip'))?.includes(broken))
})

test('an upstream is connected to only at addresses that it may have, looked at when it is connected to', async (t) => {
  let connections = 0
  const server = createServer((socket) => {
    connections += 1
    socket.once('data', () => socket.end('HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n'))
    socket.on('error', () => socket.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const names: Record<string, string[]> = {
    'named.test': ['127.0.0.1'],
    'metadata.test': ['169.254.169.254'],
    'mapped.test': ['::ffff:169.254.169.254'],
    'private.test': ['10.0.0.5'],
    'loopback.test': ['127.0.0.1'],
    'mixed.test': ['93.184.216.34', '127.0.0.1'],
    'rebound.test': ['127.0.0.1'],
    localhost: ['127.0.0.1'],
  }
  const named = ['http://named.test', 'http://metadata.test', 'https://mapped.test'].map((each) => `${each}:${port}`)
  const second = 1_000
  const dispatcher = createDispatcher({
    privateUpstreams: named,
    certificates: undefined,
    upstreamConnectMs: 10 * second,
    upstreamAnswerMs: 10 * second,
    upstreamIdleMs: 10 * second,
    upstreamConnections: 4,
    lookup(name, _options, callback) {
      const addresses = names[name]?.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))
      if (addresses === undefined) callback(errorOf('ENOTFOUND'), [])
      else callback(null, addresses)
    },
  })
  t.teardown(async () => {
    await dispatcher.destroy()
    server.close()
  })
  const call = (origin: string) => dispatcher.request({ origin, path: '/', method: 'GET' })
  for (const origin of [`http://named.test:${port}`, `http://localhost:${port}`, `http://127.0.0.1:${port}`]) {
    t.equal((await call(origin)).statusCode, 204, origin)
  }
  t.equal(connections, 3)
  const refused = { statusCode: 502, code: 'SOAKP_UPSTREAM_ADDRESS' }
  for (const name of ['metadata', 'mapped', 'private', 'loopback', 'mixed', 'rebound']) {
    const scheme = name === 'metadata' ? 'http' : 'https'
    await t.rejects(call(`${scheme}://${name}.test:${port}`), refused, `${name}.test`)
  }
  for (const origin of ['http://169.254.169.254', 'https://10.0.0.5', 'http://api.example.test', 'http://[::]']) {
    await t.rejects(call(origin), refused, origin)
  }
  names['named.test'] = ['169.254.169.254']
  await t.rejects(call(`http://named.test:${port}`), refused, 'a name that was right and points elsewhere now')
  await t.rejects(call('https://unknown.test'), { code: 'ENOTFOUND' })
  t.equal(connections, 3, 'none of these was connected to')
})
