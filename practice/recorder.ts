import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'

/** What the practice upstream saw of one request; it goes on changing until `ended`. */
export interface RecordedRequest {
  readonly method: string
  /** The request target exactly as received. */
  readonly url: string
  /** Names and values in turn, in their order and spelling. */
  readonly rawHeaders: readonly string[]
  /** The bytes that have come so far; empty once they are more than 8 MiB. */
  readonly body: Buffer
  /** How many bytes have come so far, stored or not. */
  readonly bodyBytes: number
  /** SHA-256 of the whole body in hexadecimal; undefined until it is complete. */
  readonly bodySha256: string | undefined
  /** Whether the whole body has come. */
  readonly complete: boolean
  /** Whether the connection went away before our answer was finished. */
  readonly aborted: boolean
  /** Settles when our answer is finished or the connection is gone. */
  readonly ended: Promise<void>
}

const storedBodyLimitBytes = 8 * 1024 * 1024

/** Watches a request from its first byte to the end of its answer. Reads nothing itself: call it before anyone reads. */
export function recordRequest(request: IncomingMessage, response: ServerResponse): RecordedRequest {
  const body = watchBody(request, response)
  const { promise: ended, resolve } = Promise.withResolvers<void>()
  let aborted = false
  response.once('close', () => {
    aborted = !response.writableFinished
    resolve()
  })
  return {
    method: request.method ?? '',
    url: request.url ?? '',
    rawHeaders: request.rawHeaders,
    get body() {
      return Buffer.concat(body.chunks)
    },
    get bodyBytes() {
      return body.bytes
    },
    get bodySha256() {
      return body.sha256
    },
    get complete() {
      return body.sha256 !== undefined
    },
    get aborted() {
      return aborted
    },
    ended,
  }
}

interface WatchedBody {
  chunks: Buffer[]
  bytes: number
  sha256: string | undefined
}

// Node's parser hands each piece of a body to `push`. Looking on there leaves flow and back-pressure to the reader,
// which a `data` listener would not.
function watchBody(request: IncomingMessage, response: ServerResponse): WatchedBody {
  const body: WatchedBody = { chunks: [], bytes: 0, sha256: undefined }
  const hash = createHash('sha256')
  let isDumped = false
  // Node throws away what comes after the answer, so the hash would be wrong.
  response.once('finish', () => (isDumped = true))
  const push = request.push.bind(request)
  request.push = (chunk: Buffer | null, encoding?: BufferEncoding) => {
    if (chunk === null) body.sha256 ??= isDumped ? undefined : hash.digest('hex')
    else keep(body, chunk, hash)
    return push(chunk, encoding)
  }
  return body
}

function keep(body: WatchedBody, chunk: Buffer, hash: ReturnType<typeof createHash>): void {
  hash.update(chunk)
  body.bytes += chunk.length
  if (body.bytes > storedBodyLimitBytes) body.chunks = []
  else body.chunks.push(chunk)
}
