import type { Socket } from 'node:net'
import { newRequestId } from './identifiers.ts'

/** Answers what Node's HTTP parser refused, in the envelope that every error has, and closes the connection. */
export function answerClientError(error: Error & { code?: string }, socket: Socket): void {
  if (!socket.writable || error.code === 'ECONNRESET' || hasBegunToAnswer(socket)) {
    socket.destroy()
    return
  }
  const [status, message] = answerTo(error.code)
  const body = JSON.stringify({
    error: { message, type: 'invalid_request_error', code: 'SOAKP_REQUEST_MALFORMED', param: null },
  })
  const head = [
    `HTTP/1.1 ${status}`,
    'content-type: application/json; charset=utf-8',
    `content-length: ${Buffer.byteLength(body)}`,
    `x-request-id: ${newRequestId()}`,
    'x-should-retry: false',
    'connection: close',
  ]
  // A client that keeps its side open must not keep the calls of this connection running.
  setTimeout(() => socket.destroy(), LINGER_MS).unref()
  socket.end(`${head.join('\r\n')}\r\n\r\n${body}`)
}

/** Time that a client gets to read why its connection ends. */
const LINGER_MS = 500

/** Where an answer has begun, more bytes would become part of it. Node's own handler looks at the same property. */
function hasBegunToAnswer(
  socket: Socket & { readonly _httpMessage?: { readonly headersSent: boolean } | null },
): boolean {
  return socket._httpMessage?.headersSent === true // oxlint-disable-line no-underscore-dangle
}

function answerTo(code: string | undefined): [string, string] {
  if (code === 'HPE_HEADER_OVERFLOW') return ['431 Request Header Fields Too Large', 'The headers are too large.']
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return ['408 Request Timeout', 'The request took too long to arrive.']
  return ['400 Bad Request', 'The request is not well-formed HTTP/1.1.']
}
