import { errors } from 'undici'
import { createHttpExchange } from '../http-exchange.ts'
import type { HttpAnswer } from '../http-exchange.ts'

/** A call as the API gets it. */
export interface HttpCall {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE'
  readonly url: URL
  readonly body: string
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

const MOST_BYTES = 4 * 1024 * 1024

/** Creates the transport; `timeoutMs` is from connecting to the last byte. */
export function createHttpTransport(timeoutMs: number): HttpTransport {
  const exchange = createHttpExchange({ connections: 4, mostBytes: MOST_BYTES })

  return {
    async send({ method, url, body }, headers, signal) {
      const deadline = AbortSignal.timeout(timeoutMs)
      try {
        const request = { method, url, headers, body: body === '' ? undefined : body }
        return await exchange.send(request, AbortSignal.any([signal, deadline]))
      } catch (error) {
        signal.throwIfAborted()
        const reason = deadline.aborted ? `no answer within ${timeoutMs / 1000} seconds` : reasonOf(error)
        // The parser's error holds what was received, and an API may repeat what it was sent.
        throw new NoAnswer(reason, error instanceof errors.HTTPParserError ? undefined : error)
      }
    },

    close: () => exchange.close(),
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return 'no reason was given'
  const code = 'code' in error && typeof error.code === 'string' ? ` (${error.code})` : ''
  return error.message === '' ? `the connection failed${code}` : `${error.message}${code}`
}
