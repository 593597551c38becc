import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { connect as connectTwo } from 'node:http2'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { join } from 'node:path'
import { connect as connectSecurely } from 'node:tls'
import type { ConnectionOptions } from 'node:tls'
import { test } from 'tap'
import type { Test } from 'tap'
import { Agent, fetch } from 'undici'
import { startPracticeUpstream } from '../practice/upstream.ts'
import { startServer } from './support/process.ts'
import type { ServerProcess } from './support/process.ts'
import { HANDSHAKE, frame } from './support/sockets.ts'
import { startSoakp } from './support/soakp.ts'
import { eventually, openWire, requestText, send } from './support/wire.ts'

/** A SOAKP in a process of its own with the keys of a practice upstream and a token. */
interface World {
  readonly server: ServerProcess
  readonly upstream: Awaited<ReturnType<typeof startPracticeUpstream>>
  readonly token: string
  readonly ca: string | undefined
  readonly get: (path: string) => ReturnType<typeof fetch>
}

/** A connection of an attacker, and the one below it that can be reset. */
interface Attack {
  readonly socket: Socket
  readonly below: Socket
}

/** Longer than the server bears with a client here. */
const PATIENCE_MS = 3_000

/** Waits for the first of some events, or until the server would have given up. */
async function firstOf(...events: readonly (readonly [Socket, string])[]): Promise<void> {
  const signal = AbortSignal.timeout(PATIENCE_MS)
  const all = events.map(async ([emitter, name]) => once(emitter, name, { signal }).catch(() => undefined))
  await Promise.race(all)
}

async function startWorld(t: Test, environment: Record<string, string>, preload?: string): Promise<World> {
  const upstream = await startPracticeUpstream()
  t.teardown(() => upstream.close())
  const imports = preload === undefined ? [] : ['--import', `data:text/javascript,${encodeURIComponent(preload)}`]
  const command = [process.execPath, ...imports, 'bin/soakp.js', 'serve']
  const server = await startServer(t, { SOAKP_UPSTREAM: upstream.url, ...environment }, { command })
  const isPlain = environment['SOAKP_TLS'] === 'off'
  const ca = isPlain ? undefined : await readFile(join(server.dataDir, 'local-authority.pem'), 'utf8')
  const dispatcher = new Agent({ connect: { ca } })
  t.teardown(() => dispatcher.destroy())
  const headers = { authorization: `Bearer ${server.admin}`, 'content-type': 'application/json' }
  const body = JSON.stringify({ key: upstream.key })
  const saved = await fetch(`${server.address}/soakp/keys`, { method: 'POST', headers, body, dispatcher })
  const { token } = ((await saved.json()) as { token: { token: string } }).token
  const get = (path: string) =>
    fetch(server.address + path, { headers: { authorization: `Bearer ${token}` }, dispatcher })
  return { server, upstream, token, ca, get }
}

test('an unexpected error is logged, nothing more is accepted, calls may end, and the exit code is 1', async (t) => {
  const preload = "process.once('SIGUSR2', () => setImmediate(() => { throw new Error('boom') }))"
  const { server, upstream, get } = await startWorld(t, { SOAKP_TLS: 'off', SOAKP_DRAIN_SECONDS: '60' }, preload)
  let finish: () => void = () => undefined
  upstream.handle('GET', '/v1/short', (_request, response) => {
    response.write('data: 1\n\n')
    finish = () => response.end('data: 2\n\n')
  })
  const short = await get('/v1/short')
  server.kill('SIGUSR2')
  await server.printed(/"level":"error".*"boom".*unexpected error/)
  await t.rejects(connectAgain(server.port), { code: 'ECONNREFUSED' })
  finish()
  t.equal(await short.text(), 'data: 1\n\ndata: 2\n\n')
  t.match(await server.ended, { code: 1, signal: null })
})

/** Connects until connecting fails; the server stops accepting a moment after it has logged. */
async function connectAgain(port: number): Promise<void> {
  for (let attempt = 0; attempt < 1_000; attempt += 1) {
    const socket = connect(port, '127.0.0.1')
    await once(socket, 'connect')
    socket.destroy()
  }
}

test('nothing that clients do to handshakes, requests, streams and frames ends the process', async (t) => {
  const { server, upstream, token, ca, get } = await startWorld(t, {
    SOAKP_LOG_LEVEL: 'debug',
    SOAKP_HEADERS_SECONDS: '1',
    SOAKP_CLIENT_IDLE_SECONDS: '1',
  })
  upstream.handle('GET', '/v1/endless', (_request, response) => void response.write('data: 1\n\n'))
  const address = { host: '127.0.0.1', port: server.port }
  const secure = async (options: ConnectionOptions = {}): Promise<Attack> => {
    const below = connect(address).on('error', () => undefined)
    const socket = connectSecurely({ ca, servername: 'localhost', ...options, socket: below })
    socket.on('error', () => undefined)
    await firstOf([socket, 'secureConnect'], [socket, 'close'], [below, 'close'])
    return { socket, below }
  }
  const plain = async (bytes: string | Buffer): Promise<Attack> => {
    const socket = connect(address).on('error', () => undefined)
    await once(socket, 'connect')
    socket.write(bytes)
    return { socket, below: socket }
  }
  const http = async (text: string): Promise<Attack> => {
    const attack = await secure()
    attack.socket.write(text)
    return attack
  }
  const authorization = `Authorization: Bearer ${token}`
  const call = (line: string, ...headers: string[]) => requestText([`${line} HTTP/1.1`, authorization, ...headers])
  const webSocket = async (bytes: string): Promise<Attack> => {
    const attack = await http(call('GET /v1/realtime?model=practice', ...HANDSHAKE))
    await firstOf([attack.socket, 'data'], [attack.socket, 'close'])
    attack.socket.write(Buffer.from(bytes, 'latin1'))
    return attack
  }
  const hello = Buffer.from('16030100c8010000c40303', 'hex')
  const masked = (payload: string | Buffer, options = {}) => frame(payload, { isMasked: true, ...options })
  const attacks: Readonly<Record<string, () => Promise<Attack>>> = {
    'no TLS': () => plain('GET / HTTP/1.1\r\n\r\n'),
    'half a greeting': () => plain(hello),
    'a greeting of noise': () => plain(Buffer.concat([hello, Buffer.alloc(500, 7)])),
    'an alert': () => plain(Buffer.from('15030100020228', 'hex')),
    'an old version': () => secure({ maxVersion: 'TLSv1.1', minVersion: 'TLSv1', ciphers: 'ALL:@SECLEVEL=0' }),
    'a name of no certificate': () => secure({ servername: `${'a'.repeat(60)}.example`, rejectUnauthorized: false }),
    'a protocol nobody speaks': () => secure({ ALPNProtocols: ['spdy/1'] }),
    'no HTTP': () => http('\0\x01\x02'.repeat(100)),
    'half a request': () => http('POST /v1/files HTTP/1.1\r\nHost: a'),
    'half a body': () => http(`${call('POST /v1/files', 'Content-Length: 99999')}x`),
    'a bad chunk': () => http(`${call('POST /v1/files', 'Transfer-Encoding: chunked')}5\r\nabcdeXX`),
    'a stream that is left': () => http(call('GET /v1/endless')),
    'many at once': () => http(call('GET /v1/models').repeat(50)),
    'a handshake that is left': () => http(call('GET /v1/realtime?model=practice', ...HANDSHAKE)),
    'a frame without a mask': () => webSocket(frame('{}')),
    'a frame of no kind': () => webSocket(masked('x', { opcode: 7 })),
    'reserved bits': () => webSocket(masked('x', { bits: 15 })),
    'a long ping': () => webSocket(masked('x'.repeat(126), { opcode: 9 })),
    'a bad close': () => webSocket(masked(Buffer.from([0, 1]), { opcode: 8 })),
    'text that is none': () => webSocket(masked(Buffer.from([255, 254]))),
    'a length beyond all': () => webSocket(`\x81\xff${'\x7f'.repeat(8)}\0\0\0\0`),
    'HTTP/2 that is none': async () => {
      const attack = await secure({ ALPNProtocols: ['h2'] })
      attack.socket.write(`PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n${'\x7f'.repeat(100)}`)
      return attack
    },
  }
  // Each once with its connection reset at once, and once after what the server says to it.
  await Promise.all(
    Object.values(attacks).map(async (start) => {
      const [reset, patient] = await Promise.all([start(), start()])
      reset.below.resetAndDestroy()
      const { socket, below } = patient
      socket.resume()
      // What was said may have been read while the attack was made: then nothing more need come.
      if (!below.destroyed && !socket.destroyed) await firstOf([socket, 'data'], [socket, 'close'], [below, 'close'])
      below.resetAndDestroy()
    }),
  )
  const session = connectTwo(server.address, { ca: ca ?? '' }).on('error', () => undefined)
  for (let each = 0; each < 20; each += 1) {
    session.request({ ':path': '/v1/endless', authorization: `Bearer ${token}` }).on('error', () => undefined)
  }
  await once(session, 'remoteSettings')
  session.destroy()
  t.equal((await get('/v1/models')).status, 200)
  await eventually('no call is left', () =>
    upstream.requests.every(({ url, aborted }) => aborted || !/endless/.test(url)),
  )
  server.kill('SIGTERM')
  const { code, stdout, stderr } = await server.ended
  t.equal(code, 0)
  t.equal(stderr, '')
  t.notMatch(stdout, /unexpected error|uncaught|unhandled/i)
})

test('an error within SOAKP is a clean 500 of that request, and the next one works', async (t) => {
  const logs: string[] = []
  const soakp = await startSoakp(t, { SOAKP_TLS: 'off', SOAKP_LOG_LEVEL: 'error' }, { logs })
  const { token } = await soakp.saveKey()
  const { unsealed, limits } = soakp.app
  const fails = () => {
    throw new TypeError('of no use to a client')
  }
  const parts: readonly (readonly [object, string])[] = [
    [unsealed.vault, 'open'],
    [unsealed.store, 'findGrant'],
    [limits, 'countRequest'],
    [limits, 'assertParallel'],
  ]
  for (const [part, name] of parts) {
    const working: unknown = Reflect.get(part, name)
    Reflect.set(part, name, fails)
    const lines = name === 'open' ? HANDSHAKE : []
    const failed = await send(t, soakp, token, ['GET /v1/models HTTP/1.1', ...lines])
    const answer = await failed.until(/\}\}$/)
    t.match(answer, /^HTTP\/1\.1 500 .*"code":"SOAKP_INTERNAL"/s, name)
    t.notMatch(answer, 'of no use')
    Reflect.set(part, name, working)
    failed.socket.destroy()
    const next = await openWire(t, soakp)
    next.write(requestText(['GET /v1/models HTTP/1.1', `Authorization: Bearer ${token}`, 'Connection: close']))
    t.match(await next.over(), /^HTTP\/1\.1 200 /)
  }
  t.equal(logs.filter((line) => line.includes('of no use to a client')).length, parts.length)
  t.equal(unsealed.liveCalls.size, 0)
})
