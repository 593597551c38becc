import type { IncomingMessage } from 'node:http'
import { SoakpError } from './errors.ts'

/** Tells whether a request asks for a WebSocket. In HTTP/1.0 there are no upgrades (RFC 9110 section 7.8). */
export function isWebSocketRequest({ method, httpVersion, headers }: IncomingMessage): boolean {
  return method === 'GET' && httpVersion === '1.1' && headers.upgrade?.toLowerCase() === 'websocket'
}

/**
 * Refuses a handshake that is not as RFC 6455 section 4.2.1 wants it, before an upstream hears of it. Throws
 * `SOAKP_HANDSHAKE_INVALID`.
 */
export function assertHandshake({ headers }: IncomingMessage): void {
  if (headers['sec-websocket-version'] !== '13') {
    const details = { headers: { upgrade: 'websocket', 'sec-websocket-version': '13' } }
    throw new SoakpError(426, 'SOAKP_HANDSHAKE_INVALID', 'The version of the WebSocket protocol must be 13.', details)
  }
  if (!KEY.test(headers['sec-websocket-key'] ?? '')) throw invalid('Sec-WebSocket-Key must be 16 bytes in base64')
  if ((headers['content-length'] ?? '0') !== '0' || headers['transfer-encoding'] !== undefined) {
    throw invalid('there can be no body')
  }
  const protocols = headers['sec-websocket-protocol']?.split(',').map((each) => each.trim()) ?? []
  if (!protocols.every((each) => TOKEN.test(each)) || new Set(protocols).size < protocols.length) {
    throw invalid('Sec-WebSocket-Protocol must be a list of different names')
  }
}

const KEY = /^[A-Za-z\d+/]{22}==$/

/** RFC 9110 section 5.6.2. */
const TOKEN = /^[\w!#$%&'*+.^`|~-]+$/

function invalid(what: string): SoakpError {
  return new SoakpError(400, 'SOAKP_HANDSHAKE_INVALID', `This is no WebSocket handshake: ${what}.`)
}
