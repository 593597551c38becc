import type { IncomingMessage } from 'node:http'
import { SoakpError } from './errors.ts'
import { isHttp2 } from './http2.ts'

/** What of a request the gate looks at. */
export type GateRequest = Pick<IncomingMessage, 'url' | 'method' | 'httpVersion' | 'rawHeaders'>

/**
 * Refuses messages that two servers could read in two ways, before anything else looks at them: Node lets them through.
 * Throws `SOAKP_REQUEST_AMBIGUOUS` (400) or `SOAKP_HTTP_VERSION` (505).
 */
export function assertUnambiguous(request: GateRequest): void {
  const { url = '', httpVersion, rawHeaders } = request
  if (httpVersion !== '1.1' && httpVersion !== '1.0' && !isHttp2(request)) {
    throw new SoakpError(505, 'SOAKP_HTTP_VERSION', 'SOAKP speaks HTTP/1.1, and over TLS HTTP/2.')
  }
  if (!url.startsWith('/') && !(url === '*' && request.method === 'OPTIONS')) {
    throw ambiguous('the request target must be a path (RFC 9112 section 3.2.1)')
  }
  const hosts: (string | undefined)[] = []
  let authorizations = 0
  for (let index = 0; index < rawHeaders.length; index += 2) {
    const name = rawHeaders[index]?.toLowerCase()
    if (name === 'host' || name === ':authority') hosts.push(rawHeaders[index + 1]?.toLowerCase())
    else if (name === 'authorization') authorizations += 1
    else if (name === 'transfer-encoding') assertChunked(httpVersion, rawHeaders[index + 1] ?? '')
  }
  const isHostClear = isHttp2(request) ? new Set(hosts).size === 1 : hosts.length === 1
  if (!isHostClear && !(hosts.length === 0 && httpVersion === '1.0')) throw ambiguous('there must be one host')
  if (authorizations > 1) throw ambiguous('there must be at most one Authorization header')
}

/** Refuses a target of more than so many bytes. Throws `SOAKP_URL_TOO_LONG` (414). */
export function assertShort(url: string | undefined, mostBytes: number): void {
  if (url === undefined || url.length <= mostBytes) return
  const message = `The path and query are longer than ${mostBytes} bytes. Whoever runs this SOAKP can allow more with SOAKP_URL_BYTES.`
  throw new SoakpError(414, 'SOAKP_URL_TOO_LONG', message)
}

/**
 * Refuses headers of HTTP/2 of more than so many bytes in all, each counted with 32 more (RFC 9113 section 6.5.2). Node
 * would reset the stream, and that only of a client that has acknowledged the limit; over HTTP/1.1 it refuses them itself.
 * Throws `SOAKP_HEADERS_TOO_LARGE` (431).
 */
export function assertHeadersShort(request: GateRequest, mostBytes: number): void {
  if (!isHttp2(request)) return
  const { rawHeaders } = request
  let bytes = rawHeaders.length * 16
  for (const each of rawHeaders) bytes += each.length
  if (bytes <= mostBytes) return
  const message = `The headers are larger than ${mostBytes} bytes, counted with 32 more for each. Whoever runs this SOAKP can allow more with SOAKP_HEADER_BYTES.`
  throw new SoakpError(431, 'SOAKP_HEADERS_TOO_LARGE', message)
}

function assertChunked(httpVersion: string, value: string): void {
  if (httpVersion === '1.1' && value.trim().toLowerCase() === 'chunked') return
  throw ambiguous('the only transfer coding is chunked, and only in HTTP/1.1 (RFC 9112 section 6.1)')
}

function ambiguous(what: string): SoakpError {
  return new SoakpError(400, 'SOAKP_REQUEST_AMBIGUOUS', `The request can be read in two ways: ${what}.`, {
    headers: { connection: 'close' },
  })
}
