import type { IncomingMessage } from 'node:http'
import { WebSocket } from 'ws'
import type { ConnectOptions } from './dispatcher.ts'
import { SoakpError, hasErrorCode } from './errors.ts'
import { socketOptions } from './socket-options.ts'
import { readRefusal } from './socket-refusal.ts'
import type { SocketRefusal } from './socket-refusal.ts'
import type { SocketSide } from './socket-silence.ts'
import { upstreamError, upstreamMalformed } from './upstream-errors.ts'

/** A WebSocket to be opened to an upstream. */
export interface UpstreamSocketCall {
  /** The upstream's origin, `https://api.openai.com`. */
  readonly origin: string
  /** The upstream's path and query, byte for byte as the client sent them after the prefix. */
  readonly path: string
  /** Subprotocols to offer. */
  readonly protocols: readonly string[]
  /** Flat list of names and values. */
  readonly headers: readonly string[]
  readonly connect: ConnectOptions
  /** Time until the WebSocket is open or its refusal has come. */
  readonly handshakeMs: number
  readonly mostBytes: number
}

/** An open WebSocket. It is paused: no message is lost before somebody listens. */
export interface UpstreamSocket extends SocketSide {
  /** The subprotocol that the upstream chose of the offered ones. */
  readonly protocol: string | undefined
  /** The raw headers of its answer. */
  readonly headers: readonly string[]
}

/** Opens a WebSocket to an upstream. `signal` gives up. Throws a `SoakpError` when the upstream cannot be reached. */
export async function openUpstreamSocket(
  call: UpstreamSocketCall,
  signal: AbortSignal,
): Promise<UpstreamSocket | SocketRefusal> {
  const { promise, resolve, reject } = Promise.withResolvers<UpstreamSocket | SocketRefusal>()
  const socket = connect(call)
  let answer: IncomingMessage | undefined
  let isChosen = true
  socket.once('upgrade', (response: IncomingMessage) => {
    answer = response
    // An upstream need not choose one (RFC 6455 section 4.2.2), but ws takes that for an error.
    isChosen = response.headers['sec-websocket-protocol'] !== undefined
    if (!isChosen && call.protocols.length > 0) response.headers['sec-websocket-protocol'] = call.protocols[0]
  })
  socket.once('open', () => {
    socket.pause()
    if (answer === undefined) return reject(new TypeError('open without an answer'))
    const protocol = isChosen ? socket.protocol : undefined
    return resolve({ webSocket: socket, connection: answer.socket, protocol, headers: answer.rawHeaders })
  })
  socket.once('unexpected-response', (_request, response: IncomingMessage) => {
    readRefusal(response)
      .then(resolve, reject)
      .finally(() => socket.terminate())
  })
  socket.on('error', (error) => reject(isMalformed(error) || answer !== undefined ? upstreamMalformed(error) : error))

  const giveUp = (error: unknown) => {
    reject(error)
    socket.terminate()
  }
  const onAbort = () => giveUp(signal.reason)
  signal.addEventListener('abort', onAbort)
  const deadline = setTimeout(() => giveUp(timedOut()), call.handshakeMs)
  if (signal.aborted) onAbort()
  try {
    return await promise
  } catch (error) {
    throw upstreamError(error)
  } finally {
    clearTimeout(deadline)
    signal.removeEventListener('abort', onAbort)
  }
}

function connect({ origin, path, protocols, headers, connect: options, mostBytes }: UpstreamSocketCall): WebSocket {
  if (/[^\x21-\xff]/.test(path)) {
    throw new SoakpError(400, 'SOAKP_REQUEST_INVALID', 'The path has characters that cannot be passed on as they are.')
  }
  return new WebSocket(origin.replace(/^http/, 'ws'), [...protocols], {
    ...options,
    ...socketOptions(mostBytes),
    ...HTTP_OPTIONS,
    headers: grouped(headers),
    followRedirects: false,
    finishRequest(request) {
      // As part of the URL it would be normalised: `/v1/../admin` would leave the key's base URL.
      request.path = path
      request.end()
    },
  })
}

/** The same limit as that of calls. */
const HTTP_OPTIONS = { maxHeaderSize: 65_536 }

function timedOut(): Error {
  return Object.assign(new Error('the handshake took too long'), { code: 'ETIMEDOUT' })
}

/** Errors of Node's parser have codes such as `HPE_INVALID_CONSTANT`. */
function isMalformed(error: Error & { code?: string }): boolean {
  return error.code?.startsWith('HPE_') === true && !hasErrorCode(error, 'HPE_CLOSED_CONNECTION')
}

/**
 * Several headers of one name become one with several values, which Node writes as several again. Content-Length could
 * only be 0, and a handshake has none.
 */
function grouped(headers: readonly string[]): Record<string, string | string[]> {
  // Names come from the client: no plain object, where `constructor` is there already.
  const result = new Map<string, [name: string, values: string[]]>()
  for (let index = 0; index < headers.length; index += 2) {
    const [name = '', value = ''] = [headers[index], headers[index + 1]]
    const lower = name.toLowerCase()
    if (lower === 'content-length') continue
    const known = result.get(lower)
    if (known === undefined) result.set(lower, [name, [value]])
    else known[1].push(value)
  }
  return Object.fromEntries(
    [...result.values()].map(([name, values]) => [name, values.length > 1 ? values : `${values[0]}`]),
  )
}
