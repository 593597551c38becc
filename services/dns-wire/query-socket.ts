import { createSocket } from 'node:dgram'
import { connect, isIPv6 } from 'node:net'
import { SoakpError } from '../errors.ts'
import type { DnsAnswer, DnsServer } from './query-answer.ts'

/** Sends a message to a server and resolves with the first message that `read` takes for its answer. */
export type Exchange = (
  server: DnsServer,
  message: Buffer,
  read: (message: Buffer) => DnsAnswer | undefined,
  timeoutMs: number,
  signal: AbortSignal,
) => Promise<DnsAnswer>

/** No answer came: the server is silent or closed, what came was not an answer, or no route leads there. */
export class NoAnswer extends SoakpError {
  /** The machine has no route to the address: it is of a family that is not connected. */
  readonly hasNoRoute: boolean

  constructor(server: DnsServer, reason: string, cause?: unknown) {
    super(502, 'SOAKP_DNS_UNREACHABLE', `${server.address} port ${server.port} ${reason}.`, { cause })
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
    this.hasNoRoute = ['ENETUNREACH', 'EHOSTUNREACH', 'EADDRNOTAVAIL', 'EAFNOSUPPORT', 'EINVAL'].includes(code)
  }
}

const SILENT = 'does not answer'
const MALFORMED = 'sends what is not an answer to the question'

/** Exchanges by UDP. The socket is connected: the system then delivers nothing from any other address. */
export const exchangeDatagram: Exchange = async (server, message, read, timeoutMs, signal) => {
  signal.throwIfAborted()
  const socket = createSocket(isIPv6(server.address) ? 'udp6' : 'udp4')
  const { promise, resolve, reject } = Promise.withResolvers<DnsAnswer>()
  let reason = SILENT
  socket.on('error', (error) => reject(new NoAnswer(server, 'cannot be reached', error)))
  socket.on('message', (bytes) => {
    const answer = read(bytes)
    if (answer === undefined) reason = MALFORMED
    else resolve(answer)
  })
  socket.connect(server.port, server.address, (...[error]: unknown[]) => {
    if (error !== undefined) reject(new NoAnswer(server, 'cannot be reached', error))
    else socket.send(message)
  })
  try {
    return await until(promise, () => new NoAnswer(server, reason), timeoutMs, signal)
  } finally {
    // The system may still report an error of the last datagram while the socket closes.
    socket.removeAllListeners('message').close()
  }
}

/** Exchanges by TCP, where a message follows its length in two bytes (RFC 7766 section 8). */
export const exchangeStream: Exchange = async (server, message, read, timeoutMs, signal) => {
  signal.throwIfAborted()
  const socket = connect({ port: server.port, host: server.address })
  const { promise, resolve, reject } = Promise.withResolvers<DnsAnswer>()
  const length = Buffer.alloc(2)
  length.writeUInt16BE(message.length)
  socket.write(Buffer.concat([length, message]))
  let received: Buffer = Buffer.alloc(0)
  socket.on('error', (error) => reject(new NoAnswer(server, 'cannot be reached', error)))
  socket.on('close', () => reject(new NoAnswer(server, 'ends the connection without an answer')))
  socket.on('data', (bytes) => {
    received = Buffer.concat([received, bytes])
    if (received.length < 2 || received.length < 2 + received.readUInt16BE()) return
    const answer = read(received.subarray(2, 2 + received.readUInt16BE()))
    if (answer === undefined) reject(new NoAnswer(server, MALFORMED))
    else resolve(answer)
    socket.destroy()
  })
  try {
    return await until(promise, () => new NoAnswer(server, SILENT), timeoutMs, signal)
  } finally {
    socket.destroy()
  }
}

async function until<Value>(
  promise: Promise<Value>,
  late: () => Error,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<Value> {
  const { promise: end, reject } = Promise.withResolvers<never>()
  const timer = setTimeout(() => reject(late()), timeoutMs)
  const abort = () => reject(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  // Whichever is second must not count as unhandled.
  promise.catch(() => undefined)
  try {
    return await Promise.race([promise, end])
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', abort)
  }
}
