import type { IncomingMessage } from 'node:http'
import { readableBody } from './content-encoding.ts'
import { headerValues, responseHeaders } from './headers.ts'
import type { LeakGuard } from './leak-guard.ts'
import { keyLeaked, keyRefused, upstreamMalformed } from './upstream-errors.ts'

/** An answer other than 101, as it came: the upstream did not open a WebSocket. */
export interface SocketRefusal {
  readonly status: number
  readonly reason: string
  /** Raw names and values. */
  readonly headers: readonly string[]
  readonly body: Buffer
}

/** A refusal may have a body of this size. */
const MOST_BYTES = 1_048_576

/** Reads a refusal to its end. Throws `SOAKP_UPSTREAM_MALFORMED` when it is too long to be one. */
export async function readRefusal(response: IncomingMessage): Promise<SocketRefusal> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    chunks.push(chunk)
    bytes += chunk.length
    if (bytes > MOST_BYTES) throw upstreamMalformed(new Error('the refusal of a WebSocket is longer than 1 MiB'))
  }
  const { statusCode = 502, statusMessage = '', rawHeaders } = response
  return { status: statusCode, reason: statusMessage, headers: rawHeaders, body: Buffer.concat(chunks) }
}

/**
 * Makes of a refusal what the client may have. Throws `SOAKP_UPSTREAM_REFUSED_KEY` when it says that the key is bad,
 * and `SOAKP_UPSTREAM_LEAK` when it holds the key.
 */
export async function passableRefusal(refusal: SocketRefusal, guard: LeakGuard): Promise<SocketRefusal> {
  const { status, reason, headers, body } = refusal
  if (status === 401) throw keyRefused()
  if (status < 200) throw upstreamMalformed()
  const passed = responseHeaders(headers.map((each) => Buffer.from(each, 'latin1')))
  const readable = await readableBody(body, headerValues(passed, 'content-encoding'))
  const texts = [reason, ...headers].map((each) => Buffer.from(each, 'latin1'))
  if (readable === undefined || [readable, ...texts].some((each) => guard.isIn(each))) throw keyLeaked()
  return { status, reason: reason.replace(/[^\t -~\x80-\xff]/g, ''), headers: framed(passed, status, body), body }
}

/** Gives the headers the length of the body, which has come whole. */
function framed(headers: readonly string[], status: number, body: Buffer): string[] {
  const others = headers.filter((_each, at) => headers[at - (at % 2)]?.toLowerCase() !== 'content-length')
  return status === 204 || status === 304 ? others : [...others, 'Content-Length', String(body.length)]
}
