import tls from 'node:tls'
import { Agent, request } from 'undici'
import { orAborted } from './or-aborted.ts'

/** A request as it goes out. */
export interface HttpRequest {
  readonly url: string | URL
  readonly method: 'GET' | 'HEAD' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  readonly headers: Readonly<Record<string, string>>
  readonly body?: string | undefined
}

/**
 * An answer, read to its end, whatever its status. Header names are in lower case, values that came several times are
 * joined.
 */
export interface HttpAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly text: string
}

/** Sends requests of which the whole answer is wanted. */
export interface HttpExchange {
  /** Throws what undici, TLS or the system throw, `AnswerTooLong`, or the signal's reason at once when it aborts. */
  send(request: HttpRequest, signal: AbortSignal): Promise<HttpAnswer>
  /** Gives up all connections, also those that are being made. May be called twice. */
  close(): Promise<void>
}

/** How requests are sent. */
export interface HttpExchangeOptions {
  readonly connections: number
  /** The longest body that is read. */
  readonly mostBytes: number
  /** Further roots to trust, PEM. */
  readonly certificates?: string | undefined
}

/** An answer was longer than may be. */
export class AnswerTooLong extends Error {
  constructor(mostBytes: number) {
    super(`its answer is longer than ${mostBytes} bytes`)
  }
}

/** Creates the exchange: HTTP/1.1, verified certificates, no redirects, no repetition, no cache. */
export function createHttpExchange({ connections, mostBytes, certificates }: HttpExchangeOptions): HttpExchange {
  const closing = new AbortController()
  const agent = new Agent({
    allowH2: false,
    pipelining: 1,
    connections,
    maxHeaderSize: 65_536,
    strictContentLength: true,
    // A connection that is about to be closed by the other side must not be taken for a request that cannot be repeated.
    keepAliveTimeout: 1000,
    keepAliveMaxTimeout: 1000,
    connect: {
      timeout: 10_000,
      rejectUnauthorized: true,
      minVersion: 'TLSv1.2',
      // Without it a connection that is still being made at the close would keep the process alive.
      signal: closing.signal,
      ...(certificates !== undefined && { ca: [...tls.getCACertificates(), certificates] }),
    },
  })

  async function exchange({ url, ...rest }: HttpRequest, signal: AbortSignal): Promise<HttpAnswer> {
    const answer = await request(url, { dispatcher: agent, signal, ...rest, body: rest.body ?? null })
    const text = await readBounded(answer.body, mostBytes)
    return { status: answer.statusCode, headers: joinValues(answer.headers), text }
  }

  return {
    // undici heeds a signal only once it is connected.
    send: (wanted, signal) => orAborted(signal, exchange(wanted, signal)),

    async close() {
      closing.abort()
      await agent.destroy()
    },
  }
}

async function readBounded(body: AsyncIterable<Buffer>, mostBytes: number): Promise<string> {
  const chunks: Buffer[] = []
  let bytes = 0
  for await (const chunk of body) {
    bytes += chunk.length
    if (bytes > mostBytes) throw new AnswerTooLong(mostBytes)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function joinValues(headers: Readonly<Record<string, string | readonly string[] | undefined>>): HttpAnswer['headers'] {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, typeof value === 'string' ? value : value?.join(', ')]),
  )
}
