import { Agent, errors, request } from 'undici'

/** A call as the API gets it. */
export interface HttpCall {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  readonly url: URL
  readonly body: string
}

/** An answer, its body read to the end. */
export interface HttpAnswer {
  readonly status: number
  readonly text: string
  header(name: string): string | undefined
}

/** Why there was no answer. */
export class NoAnswer extends Error {
  /** Whether a header could not be sent: a credential is not what it should be. */
  readonly isHeaderRefused: boolean

  constructor(message: string, cause: unknown) {
    super(message, { cause })
    this.isHeaderRefused = cause instanceof errors.InvalidArgumentError
  }
}

/** Sends single calls. */
export interface HttpTransport {
  /** Returns any answer, whatever its status. Throws `NoAnswer`, or the signal's reason at once when it aborts. */
  send(call: HttpCall, headers: Readonly<Record<string, string>>, signal: AbortSignal): Promise<HttpAnswer>
  /** Gives up all connections. May be called twice. */
  close(): Promise<void>
}

const ANSWER_LIMIT_BYTES = 4 * 1024 * 1024

/** Creates it: HTTP/1.1, certificates verified, no redirects; `timeoutMs` is from connecting to the last byte. */
export function createHttpTransport(timeoutMs: number): HttpTransport {
  const agent = new Agent({
    connections: 4,
    pipelining: 1,
    allowH2: false,
    maxHeaderSize: 65_536,
    headersTimeout: timeoutMs,
    bodyTimeout: timeoutMs,
    connect: { timeout: Math.min(timeoutMs, 10_000), rejectUnauthorized: true, minVersion: 'TLSv1.2' },
  })

  return {
    async send(call, headers, signal) {
      const deadline = AbortSignal.timeout(timeoutMs)
      try {
        const answer = await request(call.url, {
          method: call.method,
          dispatcher: agent,
          headers,
          body: call.body === '' ? null : call.body,
          signal: AbortSignal.any([signal, deadline]),
        })
        const text = await readBounded(answer.body)
        const header = (name: string) => {
          const value = answer.headers[name]
          return typeof value === 'object' ? value[0] : value
        }
        return { status: answer.statusCode, text, header }
      } catch (error) {
        signal.throwIfAborted()
        const reason = deadline.aborted ? `no answer within ${timeoutMs / 1000} seconds` : reasonOf(error)
        // The parser's error holds what was received, and an API may repeat what it was sent.
        throw new NoAnswer(reason, error instanceof errors.HTTPParserError ? undefined : error)
      }
    },

    close: () => agent.destroy(),
  }
}

async function readBounded(body: AsyncIterable<Buffer>): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of body) {
    size += chunk.length
    if (size > ANSWER_LIMIT_BYTES) throw new RangeError(`its answer is longer than ${ANSWER_LIMIT_BYTES} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString()
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'no reason was given'
  const code = 'code' in error && typeof error.code === 'string' ? ` (${error.code})` : ''
  return error.message === '' ? `the connection failed${code}` : `${error.message}${code}`
}
