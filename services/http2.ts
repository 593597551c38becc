import type { IncomingMessage, ServerResponse } from 'node:http'
import { Http2ServerRequest, Http2ServerResponse, constants } from 'node:http2'
import type { Socket } from 'node:net'
import { upstreamMalformed } from './upstream-errors.ts'

/** Tells whether a request came as a stream of HTTP/2, and not with that version written on an HTTP/1 socket. */
export function isHttp2(request: unknown): request is Http2ServerRequest {
  return request instanceof Http2ServerRequest
}

/** Tells whether a request may have a body (RFC 9112 section 6.3, RFC 9113 section 8.1). */
export function hasBody(request: IncomingMessage): boolean {
  if (request.headers['content-length'] !== undefined) return true
  return isHttp2(request) ? !request.stream.endAfterHeaders : request.headers['transfer-encoding'] !== undefined
}

/** Writes the head of an answer; `headers` is a flat list of names and values. HTTP/2 has no reason phrase. */
export function writeHead(response: ServerResponse, status: number, reason: string, headers: string[]): void {
  if (!isHttp2Response(response)) {
    response.writeHead(status, reason, headers)
    return
  }
  // Its writeHead keeps only the last of several headers of a name.
  const grouped = new Map<string, string[]>()
  for (let index = 0; index < headers.length; index += 2) {
    const name = (headers[index] ?? '').toLowerCase()
    const value = headers[index + 1] ?? ''
    const values = grouped.get(name)
    if (values === undefined) grouped.set(name, [value])
    else values.push(value)
  }
  try {
    response.writeHead(status, Object.fromEntries(grouped))
  } catch (error) {
    // What Node refuses (HTTP2-Settings) stays in the response, and would make the error that is answered instead fail.
    for (const name of response.getHeaderNames()) {
      // Node keeps a date that is removed.
      if (name === 'date') response.setHeader(name, new Date().toUTCString())
      else response.removeHeader(name)
    }
    throw upstreamMalformed(error)
  }
}

/** Ends an answer so that the client sees that it is not whole. */
export function cutAnswer(response: ServerResponse): void {
  if (isHttp2Response(response)) {
    response.stream.close(constants.NGHTTP2_INTERNAL_ERROR)
    return
  }
  // The answer to a pipelined request has no connection yet; Node would give it one later, and keep that open.
  if (response.socket === null) response.once('socket', (socket: Socket) => socket.destroy())
  response.destroy()
}

/** Returns how many bytes of an answer wait for the client to take them. */
export function untakenBytes(response: ServerResponse): number {
  if (isHttp2Response(response)) return response.stream.writableLength
  // The answer to a pipelined request waits for the one before it.
  return response.socket === null ? 0 : response.writableLength
}

function isHttp2Response(response: unknown): response is Http2ServerResponse {
  return response instanceof Http2ServerResponse
}
