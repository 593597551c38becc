import type { IncomingMessage } from 'node:http'
import { WebSocket } from 'ws'
import type { ConnectOptions } from './dispatcher.ts'
import { reasonPhrase } from './headers.ts'
import { upstreamError } from './upstream-errors.ts'

/** A WebSocket to be opened to an upstream. */
export interface UpstreamSocketCall {
  /** `wss:` or `ws:` URL, whose path and query are the client's. */
  readonly url: string
  /** Subprotocols to offer. */
  readonly protocols: readonly string[]
  /** Flat list of names and values. */
  readonly headers: readonly string[]
  readonly connect: ConnectOptions
  readonly handshakeMs: number
  readonly mostBytes: number
}

/** An answer other than 101: the upstream did not open a WebSocket. */
export interface SocketRefusal {
  readonly status: number
  readonly reason: string
  /** Raw names and values, as they came. */
  readonly headers: readonly Buffer[]
  readonly body: Buffer
}

/** What came of the attempt. An open socket is paused: no message is lost before somebody listens. */
export type UpstreamSocketResult = { readonly socket: WebSocket } | { readonly refusal: SocketRefusal }

/** A refusal is read up to this size. */
const REFUSAL_BYTES = 65_536

/** Opens a WebSocket to an upstream. `signal` gives up. Throws a `SoakpError` when the upstream cannot be reached. */
export async function openUpstreamSocket(call: UpstreamSocketCall, signal: AbortSignal): Promise<UpstreamSocketResult> {
  const socket = new WebSocket(call.url, [...call.protocols], {
    ...call.connect,
    headers: grouped(call.headers),
    handshakeTimeout: call.handshakeMs,
    maxPayload: call.mostBytes,
    perMessageDeflate: false,
    followRedirects: false,
    autoPong: false,
    skipUTF8Validation: false,
  })
  const { promise, resolve, reject } = Promise.withResolvers<UpstreamSocketResult>()
  const giveUp = () => socket.terminate()
  signal.addEventListener('abort', giveUp)
  socket.once('open', () => {
    socket.pause()
    resolve({ socket })
  })
  socket.once('unexpected-response', (_request, response: IncomingMessage) => {
    readRefusal(response).then((refusal) => resolve({ refusal }), reject)
  })
  socket.on('error', reject)
  try {
    return await promise
  } catch (error) {
    throw upstreamError(error)
  } finally {
    signal.removeEventListener('abort', giveUp)
  }
}

async function readRefusal(response: IncomingMessage): Promise<SocketRefusal> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    bytes += chunk.length
    if (bytes > REFUSAL_BYTES) break
  }
  return {
    status: response.statusCode ?? 502,
    reason: reasonPhrase(response.statusMessage ?? ''),
    headers: response.rawHeaders.map((each) => Buffer.from(each, 'latin1')),
    body: Buffer.concat(chunks).subarray(0, REFUSAL_BYTES),
  }
}

/** Several headers of one name become one with several values, which Node writes as several again. */
function grouped(headers: readonly string[]): Record<string, string | string[]> {
  const result: Record<string, string | string[]> = {}
  for (let index = 0; index < headers.length; index += 2) {
    const [name = '', value = ''] = [headers[index], headers[index + 1]]
    const known = result[name]
    result[name] = known === undefined ? value : [known, value].flat()
  }
  return result
}
