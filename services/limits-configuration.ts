import type { EnvironmentReader } from './environment.ts'
import { whole } from './setting-values.ts'

/** How much of SOAKP anybody may use at once. Times are in milliseconds. */
export interface LimitsConfiguration {
  readonly connections: number
  readonly addressConnections: number
  /** Streams of one HTTP/2 connection at once. */
  readonly sessionStreams: number
  readonly parallelRequests: number
  readonly headerBytes: number
  readonly urlBytes: number
  readonly bodyBytes: number
  readonly headersMs: number
  readonly clientIdleMs: number
  /** 0 for any. */
  readonly clientBytesPerSecond: number
  readonly callMs: number
  readonly refusedRequestsPerMinute: number
  readonly networkFailedLoginsPerMinute: number
  readonly upstreamQueue: number
  readonly upstreamQueueMs: number
  /** What all WebSockets together may keep of messages. */
  readonly socketBufferBytes: number
}

/** The most that a whole number of ten digits can name. */
const MOST_BYTES = 9_999_999_999

/** A timer of Node takes at most 2 ** 31 milliseconds. */
const MOST_SECONDS = 2_000_000

/** Reads the limits that hold for all. Those of a token are its own. */
export function readLimits(reader: EnvironmentReader): LimitsConfiguration {
  return {
    connections: whole(reader, 'SOAKP_CONNECTIONS', 1, 1_000_000),
    addressConnections: whole(reader, 'SOAKP_ADDRESS_CONNECTIONS', 1, 1_000_000),
    sessionStreams: whole(reader, 'SOAKP_HTTP2_STREAMS', 1, 65_535),
    parallelRequests: whole(reader, 'SOAKP_PARALLEL_REQUESTS', 1, 1_000_000),
    headerBytes: whole(reader, 'SOAKP_HEADER_BYTES', 1_024, 1_048_576),
    urlBytes: whole(reader, 'SOAKP_URL_BYTES', 256, 1_048_576),
    bodyBytes: whole(reader, 'SOAKP_BODY_BYTES', 1_024, MOST_BYTES),
    headersMs: whole(reader, 'SOAKP_HEADERS_SECONDS', 1, 3_600) * 1_000,
    clientIdleMs: whole(reader, 'SOAKP_CLIENT_IDLE_SECONDS', 1, 86_400) * 1_000,
    clientBytesPerSecond: whole(reader, 'SOAKP_CLIENT_BYTES_PER_SECOND', 0, 1e9),
    callMs: whole(reader, 'SOAKP_CALL_SECONDS', 1, MOST_SECONDS) * 1_000,
    refusedRequestsPerMinute: whole(reader, 'SOAKP_REFUSED_REQUESTS_PER_MINUTE', 1, 1e9),
    networkFailedLoginsPerMinute: whole(reader, 'SOAKP_NETWORK_FAILED_LOGINS_PER_MINUTE', 1, 1e9),
    upstreamQueue: whole(reader, 'SOAKP_UPSTREAM_QUEUE', 0, 1_000_000),
    upstreamQueueMs: whole(reader, 'SOAKP_UPSTREAM_QUEUE_SECONDS', 1, 3_600) * 1_000,
    socketBufferBytes: whole(reader, 'SOAKP_SOCKET_BUFFER_BYTES', 65_536, MOST_BYTES),
  }
}
