import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import { connect as connectSecurely, createServer as createSecureServer } from 'node:tls'
import type { TlsOptions } from 'node:tls'
import type { Test } from 'tap'
import type { TestSoakp } from './soakp.ts'

/** How long a condition may take to come true: far longer than any should. */
const DEADLINE_MS = 10_000

/** One side of a connection, with every byte that came. Text is Latin-1 everywhere: one character is one byte. */
export interface Wire {
  readonly socket: Socket
  /** How the other side ended the connection: by a FIN, or by a reset; undefined while it is open. */
  readonly end: 'closed' | 'broken' | undefined
  /** Everything that came so far. */
  readonly text: () => string
  /** Resolves when something has come or the connection has ended. */
  readonly change: () => Promise<void>
  readonly write: (text: string) => void
  /** Waits until what came so far matches and returns it all; rejects when the connection ends without. */
  readonly until: (pattern: RegExp) => Promise<string>
  /** Waits until the connection is over and returns all that came. */
  readonly over: () => Promise<string>
}

/** A request as it came to a raw upstream. */
export interface RawRequest {
  readonly line: string
  /** Names and values in turn, in their order and spelling. */
  readonly headers: readonly string[]
  /** Waits for the whole body and returns it, without the marks between its chunks. */
  readonly body: () => Promise<string>
  /** The connection, to answer on. */
  readonly wire: Wire
}

/** Answers a request of a raw upstream by writing to its wire. */
export type RawHandler = (request: RawRequest) => unknown

/** An upstream that shares no code with the proxy: it answers with the very bytes that a test gives it. */
export interface RawUpstream {
  /** The base URL, `http://127.0.0.1:40123/v1`. */
  readonly url: string
  readonly requests: readonly RawRequest[]
  /** Every connection that was ever made; with TLS, those that got through the handshake. */
  readonly wires: readonly Wire[]
  /** Sets how requests are answered from now on. */
  readonly answer: (handler: RawHandler) => void
  readonly openConnections: () => number
}

/** Waits until a condition is true; the deadline is there to end what would hang. */
export async function eventually(what: string, isTrue: () => boolean, deadlineMs = DEADLINE_MS): Promise<void> {
  const deadline = Date.now() + deadlineMs
  while (!isTrue()) {
    if (Date.now() > deadline) throw new Error(`did not come true: ${what}`)
    await setTimeout(2)
  }
}

/** Opens a connection to SOAKP, over TLS where that is on; a half-open one stays when SOAKP has ended its side. */
export async function openWire(t: Test, { port, authority }: TestSoakp, allowHalfOpen = false): Promise<Wire> {
  const address = { port, host: '127.0.0.1', allowHalfOpen }
  const socket =
    authority === undefined ? connect(address) : connectSecurely({ ...address, ca: authority, servername: 'localhost' })
  t.teardown(() => socket.destroy())
  const wire = watch(socket)
  await once(socket, authority === undefined ? 'connect' : 'secureConnect')
  return wire
}

/** Writes a request of these lines and this body; the `Host` header is added. */
export function requestText([line = '', ...headers]: readonly string[], body = ''): string {
  return [line, 'Host: localhost', ...headers, '', body].join('\r\n')
}

/** Writes an answer of these lines and this body; nothing is added. */
export function answerText(lines: readonly string[], body = ''): string {
  return [...lines, '', body].join('\r\n')
}

/** Sends one request with `Connection: close` and returns all that came back until the connection ended. */
export async function exchange(t: Test, soakp: TestSoakp, lines: readonly string[], body = ''): Promise<string> {
  const wire = await openWire(t, soakp)
  wire.write(requestText([...lines, 'Connection: close'], body))
  return wire.over()
}

/** Sends one request with a token on a connection of its own, which stays open. */
export async function send(
  t: Test,
  soakp: TestSoakp,
  token: string,
  lines: readonly string[],
  body = '',
): Promise<Wire> {
  const wire = await openWire(t, soakp)
  wire.write(requestText([...lines, `Authorization: Bearer ${token}`], body))
  return wire
}

/** Starts a raw upstream, which ends with the test. */
export async function startRawUpstream(t: Test, tls?: TlsOptions): Promise<RawUpstream> {
  const requests: RawRequest[] = []
  const wires: Wire[] = []
  let handler: RawHandler = ({ wire }) => wire.write(answerText(['HTTP/1.1 200 OK', 'Content-Length: 2'], 'ok'))

  async function serve(socket: Socket): Promise<void> {
    const wire = watch(socket)
    wires.push(wire)
    for (let start = 0; ;) {
      const bodyStart = await positionAfter(wire, '\r\n\r\n', start)
      if (bodyStart === undefined) return
      const { line, headers } = readHead(wire.text().slice(start, bodyStart - 4))
      const body = readBody(wire, headers, bodyStart)
      const request = { line, headers, wire, body: async () => (await body).text }
      requests.push(request)
      await handler(request)
      start = (await body).end
    }
  }

  const onConnection = (socket: Socket) => void serve(socket).catch(() => socket.destroy())
  const server = tls === undefined ? createServer(onConnection) : createSecureServer(tls, onConnection)
  server.on('tlsClientError', () => undefined)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const { socket } of wires) socket.destroy()
    server.close()
  })
  return {
    url: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    requests,
    wires,
    answer: (next) => void (handler = next),
    openConnections: () => wires.filter(({ socket }) => !socket.destroyed).length,
  }
}

function watch(socket: Socket): Wire {
  const chunks: string[] = []
  let end: Wire['end']
  let change = Promise.withResolvers<void>()

  function noteEnd(how: Wire['end']): void {
    end ??= how
    change.resolve()
  }

  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk.toString('latin1'))
    change.resolve()
    change = Promise.withResolvers()
  })
  socket.on('end', () => noteEnd('closed'))
  socket.on('error', () => noteEnd('broken'))
  socket.on('close', () => noteEnd('broken'))

  function text(): string {
    if (chunks.length > 1) chunks.splice(0, chunks.length, chunks.join(''))
    return chunks[0] ?? ''
  }

  return {
    socket,
    get end() {
      return end
    },
    text,
    change: () => change.promise,
    write: (bytes) => void socket.write(bytes, 'latin1'),

    async until(pattern) {
      await eventually(`${pattern} on the wire`, () => pattern.test(text()) || end !== undefined)
      if (!pattern.test(text())) throw new Error(`the connection ended without ${pattern}: ${text().slice(0, 500)}`)
      return text()
    },

    async over() {
      await eventually('the end of the connection', () => end !== undefined)
      return text()
    },
  }
}

function readHead(text: string): Pick<RawRequest, 'line' | 'headers'> {
  const [line = '', ...rest] = text.split('\r\n')
  const headers = rest.flatMap((each) => {
    const colon = each.indexOf(':')
    return [each.slice(0, colon), each.slice(colon + 1).replace(/^[ \t]*|[ \t]*$/g, '')]
  })
  return { line, headers }
}

/** Reads a body by its frame (RFC 9112 section 6). */
async function readBody(wire: Wire, headers: readonly string[], start: number): Promise<{ text: string; end: number }> {
  const valueOf = (name: string) =>
    headers[headers.findIndex((each, at) => at % 2 === 0 && each.toLowerCase() === name) + 1]
  if (!headers.some((each) => each.toLowerCase() === 'transfer-encoding')) {
    const length = headers.some((each) => each.toLowerCase() === 'content-length')
      ? Number(valueOf('content-length'))
      : 0
    const end = start + length
    while (wire.text().length < end && wire.end === undefined) await wire.change()
    return { text: wire.text().slice(start, end), end }
  }
  let text = ''
  for (let at = start; ;) {
    const dataStart = (await positionAfter(wire, '\r\n', at)) ?? fail()
    const length = Number.parseInt(wire.text().slice(at, dataStart), 16)
    const dataEnd = (await positionAfter(wire, '\r\n', dataStart + length)) ?? fail()
    if (length === 0) return { text, end: dataEnd }
    text += wire.text().slice(dataStart, dataStart + length)
    at = dataEnd
  }
}

function fail(): never {
  throw new Error('the connection ended within a body')
}

/** Waits for a piece of text and returns the position after it, or undefined when the connection ends without. */
async function positionAfter(wire: Wire, piece: string, from: number): Promise<number | undefined> {
  while (wire.text().indexOf(piece, from) === -1) {
    if (wire.end !== undefined) return undefined
    await wire.change()
  }
  return wire.text().indexOf(piece, from) + piece.length
}
