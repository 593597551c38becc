import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { text } from 'node:stream/consumers'
import type { IncomingMessage } from 'node:http'
import type { AddressInfo, Socket } from 'node:net'
import { checkServerIdentity } from 'node:tls'
import type { Test } from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import type { ClientOptions } from 'ws'
import type { ConnectOptions } from '../../services/dispatcher.ts'
import { createLeakGuard } from '../../services/leak-guard.ts'
import { createSocketBuffers } from '../../services/socket-buffers.ts'
import type { SocketBuffers } from '../../services/socket-buffers.ts'
import { createSocketServer } from '../../services/socket-server.ts'
import { relaySocket } from '../../services/socket-relay.ts'
import type { RunningSocketRelay, SocketTimes } from '../../services/socket-relay.ts'
import { openUpstreamSocket } from '../../services/upstream-socket.ts'
import type { UpstreamSocket } from '../../services/upstream-socket.ts'
import type { TestSoakp } from './soakp.ts'
import { answerText, eventually, openWire, requestText } from './wire.ts'
import type { Wire } from './wire.ts'

/** The key that `Sec-WebSocket-Key` shows in RFC 6455. */
export const SAMPLE_KEY = 'dGhlIHNhbXBsZSBub25jZQ=='

/** The lines of a handshake after the request line, for raw clients. */
export const HANDSHAKE = [
  'Connection: Upgrade',
  'Upgrade: websocket',
  'Sec-WebSocket-Version: 13',
  `Sec-WebSocket-Key: ${SAMPLE_KEY}`,
]

/** Returns the answer to a `Sec-WebSocket-Key` (RFC 6455 section 4.2.2). */
export function acceptOf(key: string): string {
  return createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
}

/** Writes the 101 of a raw upstream to a request with these raw headers; `lines` are added. */
export function switchingText(headers: readonly string[], lines: readonly string[] = []): string {
  const key = headers[headers.findIndex((each) => each.toLowerCase() === 'sec-websocket-key') + 1] ?? ''
  const accept = `Sec-WebSocket-Accept: ${acceptOf(key)}`
  return answerText(['HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade', accept, ...lines])
}

/** How a raw frame differs from a whole text message of the server. */
export interface FrameOptions {
  readonly opcode?: number
  /** FIN and RSV bits: 8 for FIN. */
  readonly bits?: number
  readonly isMasked?: boolean
}

/** Writes a frame (RFC 6455 section 5.2) as Latin-1; a mask of zeros leaves the payload readable. */
export function frame(payload: string | Buffer, { opcode = 1, bits = 8, isMasked = false }: FrameOptions = {}): string {
  const data = Buffer.from(payload)
  const mask = isMasked ? 0x80 : 0
  const head = Buffer.alloc(data.length < 126 ? 2 : data.length < 65_536 ? 4 : 10)
  head[0] = (bits << 4) | opcode
  if (head.length === 2) head[1] = mask | data.length
  else if (head.length === 4) head.writeUInt16BE(data.length, 2)
  else head.writeBigUInt64BE(BigInt(data.length), 2)
  if (head.length > 2) head[1] = mask | (head.length === 4 ? 126 : 127)
  return Buffer.concat([head, Buffer.alloc(isMasked ? 4 : 0), data]).toString('latin1')
}

/** The payload of a close frame. */
export function closePayload(code: number, reason: string | Buffer = ''): Buffer {
  return Buffer.concat([Buffer.from([code >> 8, code & 255]), Buffer.from(reason)])
}

/** How a WebSocket was closed, as its `close` event says. */
export interface Closed {
  readonly code: number
  readonly reason: string
}

/** Waits for the end of a WebSocket. */
export async function closed(socket: WebSocket): Promise<Closed> {
  if (socket.readyState === socket.CLOSED) throw new Error('closed before anybody waited for it')
  const [code, reason] = await once(socket, 'close')
  return { code, reason: String(reason) }
}

/** Waits for the next message; text arrives as text, bytes as a buffer. */
export async function nextMessage(socket: WebSocket): Promise<string | Buffer> {
  const [data, isBinary] = await once(socket, 'message')
  return isBinary === true ? data : String(data)
}

/** A refusal of a handshake. */
export interface Refused {
  readonly status: number | undefined
  readonly headers: IncomingMessage['headers']
  readonly body: string
}

/** Opens a WebSocket, or returns how it was refused. */
export async function dial(
  t: Test,
  url: string,
  protocols: string[] = [],
  options: ClientOptions & { readonly ca?: string | undefined } = {},
): Promise<WebSocket | Refused> {
  const socket = new WebSocket(url, protocols, { perMessageDeflate: true, ...options })
  socket.on('error', () => undefined)
  t.teardown(() => socket.terminate())
  const { promise, resolve, reject } = Promise.withResolvers<WebSocket | Refused>()
  socket.once('open', () => resolve(socket))
  socket.once('error', reject)
  socket.once('unexpected-response', (_request, response: IncomingMessage) => {
    text(response)
      .then((body) => resolve({ status: response.statusCode, headers: response.headers, body }), reject)
      .finally(() => socket.terminate())
  })
  return promise
}

/** Opens a WebSocket that has to open. */
export async function connect(t: Test, ...where: Parameters<typeof dial> extends [Test, ...infer Rest] ? Rest : never) {
  const socket = await dial(t, ...where)
  if (socket instanceof WebSocket) return socket
  throw new Error(`refused: ${socket.status} ${socket.body}`)
}

/** Starts a server of WebSockets that plays the upstream; nothing is limited there. */
export async function startFarServer(t: Test): Promise<{ server: WebSocketServer; origin: string }> {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', maxPayload: 0, perMessageDeflate: true })
  await once(server, 'listening')
  server.on('connection', (socket) => socket.on('error', () => undefined))
  t.teardown(() => {
    for (const socket of server.clients) socket.terminate()
    server.close()
  })
  return { server, origin: `http://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

/** One relayed WebSocket: its ends, and what is between them. */
export interface Relayed {
  readonly client: WebSocket
  readonly far: WebSocket
  readonly running: RunningSocketRelay
  /** The relay's own sides. */
  readonly toClient: WebSocket
  readonly toUpstream: WebSocket
}

/** Options of a relay under test. */
export interface RelayOptions extends Partial<SocketTimes> {
  readonly key?: string
  readonly mostBytes?: number
  readonly buffers?: SocketBuffers
  readonly origin: string
}

/** How the upstream of tests is connected to: it is an address, for which no name is looked up. */
const CONNECT: ConnectOptions = {
  timeout: 5_000,
  rejectUnauthorized: true,
  minVersion: 'TLSv1.2',
  checkServerIdentity,
  lookup: (name, _options, callback) => callback(new Error(`no lookup of ${name}`), []),
}

/** Starts a front that relays every WebSocket to an origin with the services alone; `relayed` waits for the next one. */
export async function startFront(t: Test, options: RelayOptions) {
  const { key = 'sk-proj-not-in-any-message', mostBytes = 16_777_216, origin } = options
  const { buffers = createSocketBuffers(134_217_728) } = options
  const times = { heartbeatMs: 60_000, closeMs: 2_000, ...options }
  const server = createServer()
  const sockets = createSocketServer(mostBytes)
  const upcoming: ((relayed: Omit<Relayed, 'client' | 'far'>) => void)[] = []

  async function join(request: IncomingMessage, connection: Socket, head: Buffer): Promise<void> {
    const path = request.url ?? '/'
    const call = { origin, path, protocols: [], headers: [], handshakeMs: 5_000, mostBytes }
    const upstream = (await openUpstreamSocket(
      { ...call, connect: CONNECT },
      new AbortController().signal,
    )) as UpstreamSocket
    const toClient = sockets.accept(request, { connection, head }, upstream)
    const client = { webSocket: toClient, connection }
    // The path is the owner.
    const running = relaySocket(client, upstream, createLeakGuard(key), times, buffers.of(path))
    upcoming.shift()?.({ running, toClient, toUpstream: upstream.webSocket })
  }

  server.on('upgrade', (request, connection: Socket, head) => {
    connection.on('error', () => undefined)
    join(request, connection, head).catch(() => connection.destroy())
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const { port } = server.address() as AddressInfo
  return {
    port,
    url: `ws://127.0.0.1:${port}/`,
    relayed: () => new Promise<Omit<Relayed, 'client' | 'far'>>((resolve) => upcoming.push(resolve)),
  }
}

/** Starts a far server and a front, and opens one WebSocket through both. */
export async function relay(t: Test, options: Omit<RelayOptions, 'origin'> = {}): Promise<Relayed> {
  const { server, origin } = await startFarServer(t)
  const front = await startFront(t, { ...options, origin })
  const [middle, [far], client] = await Promise.all([
    front.relayed(),
    once(server, 'connection'),
    connect(t, front.url),
  ])
  return { client, far, ...middle }
}

/** Opens a raw connection to a relay on plain TCP and waits for its 101. */
export async function openRaw(t: Test, port: number): Promise<Wire> {
  const wire = await openWire(t, { port, authority: undefined } as TestSoakp)
  wire.write(requestText(['GET / HTTP/1.1', ...HANDSHAKE]))
  await wire.until(/^HTTP\/1\.1 101 .*\r\n\r\n/s)
  return wire
}

/** Waits until a number has not changed for a while and a condition is true: nothing moves any more. */
export async function settled(read: () => number, isTrue = () => true): Promise<number> {
  let last = read()
  let sinceMs = performance.now()
  await eventually('a number that stays', () => {
    const now = read()
    if (now !== last) [last, sinceMs] = [now, performance.now()]
    return performance.now() - sinceMs > 250 && isTrue()
  })
  return last
}
