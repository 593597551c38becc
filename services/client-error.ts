import type { Socket } from 'node:net'
import { newRequestId } from './identifiers.ts'

/** Answers what Node's HTTP parser refused, in the envelope that every error has, and closes the connection. */
export function answerClientError(error: Error & { code?: string }, socket: Socket): void {
  if (!socket.writable || error.code === 'ECONNRESET' || hasBegunToAnswer(socket)) {
    socket.destroy()
    return
  }
  const [status, code, message] = answerTo(error.code)
  const body = JSON.stringify({
    error: { message, type: 'invalid_request_error', code, param: null },
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

function answerTo(errorCode: string | undefined): [status: string, code: string, message: string] {
  if (errorCode === 'HPE_HEADER_OVERFLOW') {
    const message =
      'The headers are too large. Send fewer or shorter ones; whoever runs this SOAKP can allow more with SOAKP_HEADER_BYTES.'
    return ['431 Request Header Fields Too Large', 'SOAKP_HEADERS_TOO_LARGE', message]
  }
  if (errorCode === 'ERR_HTTP_REQUEST_TIMEOUT') {
    const message =
      'The request took too long to arrive. Send its headers at once; whoever runs this SOAKP can allow more time with SOAKP_HEADERS_SECONDS.'
    return ['408 Request Timeout', 'SOAKP_REQUEST_TIMEOUT', message]
  }
  return ['400 Bad Request', 'SOAKP_REQUEST_MALFORMED', 'The request is not well-formed HTTP/1.1.']
}
