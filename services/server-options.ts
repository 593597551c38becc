import type { ServerOptions as HttpOptions } from 'node:http'
import type { SecureServerOptions } from 'node:http2'
import type { LimitsConfiguration } from './limits-configuration.ts'

/** How long a connection with nothing under way is kept: longer than front proxies do, so that they end it. */
export const KEEP_ALIVE_MS = 72_000

/** Node resets streams of HTTP/2 whose headers are over the limit by more than this; the gate refuses others in words. */
const HEADERS_IN_WORDS_BYTES = 65_536

/** Node's options of a server without TLS. What matters for security is stated even where today's default is right. */
export function httpOptions({ headersMs, headerBytes }: LimitsConfiguration): HttpOptions {
  return {
    headersTimeout: headersMs,
    // How late a client that is too slow may be noticed; Node's own default is 30 s.
    connectionsCheckingInterval: Math.min(headersMs / 2, 5_000),
    maxHeaderSize: headerBytes,
    insecureHTTPParser: false,
    noDelay: true,
    // The gate refuses a request without a host itself, in the envelope that every error has.
    requireHostHeader: false,
    // A client that vanished without a word is noticed, and its calls end.
    keepAlive: true,
    keepAliveInitialDelay: 30_000,
  }
}

/** Node's options of a server that speaks HTTP/1.1 and HTTP/2 with TLS; Fastify passes on none of its own then. */
export function httpsOptions(limits: LimitsConfiguration): SecureServerOptions & HttpOptions {
  return {
    ...httpOptions(limits),
    handshakeTimeout: limits.headersMs,
    allowHTTP1: true,
    keepAliveTimeout: KEEP_ALIVE_MS,
    requestTimeout: 0,
    // By default 128, which are fewer than fit; the gate counts their bytes.
    maxHeaderListPairs: 1_000,
    // An upstream may send two of what should be one; they pass here as they do over HTTP/1.1.
    strictSingleValueFields: false,
    settings: {
      maxConcurrentStreams: limits.sessionStreams,
      maxHeaderListSize: limits.headerBytes + HEADERS_IN_WORDS_BYTES,
      enableConnectProtocol: false,
    },
  }
}
