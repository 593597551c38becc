import { AnswerTooLong, createHttpExchange } from '../http-exchange.ts'
import type { HttpAnswer } from '../http-exchange.ts'
import { assertAllowed } from './allowed-url.ts'
import type { AcmeClientOptions } from './client.ts'
import { AcmeError } from './error.ts'
import { describeNoAnswer } from './no-answer.ts'
import { readUserAgent } from './user-agent.ts'

/** A request as it goes out. */
export interface AcmeRequest {
  readonly url: string
  readonly method: 'GET' | 'HEAD' | 'POST'
  /** JSON; only with POST. */
  readonly body?: string | undefined
  readonly accept?: string | undefined
}

/** What was answered, whatever its status. */
export interface AcmeAnswer extends HttpAnswer {
  readonly url: string
}

/** Sends requests to one authority. Throws `AcmeError` without a problem where nothing could be read as an answer. */
export interface Transport {
  send(request: AcmeRequest, signal: AbortSignal): Promise<AcmeAnswer>
  close(): Promise<void>
}

const MOST_BYTES = 1_048_576

/** Creates the way to an authority. */
export function createTransport({ directory, certificates }: AcmeClientOptions): Transport {
  const userAgent = readUserAgent()
  const exchange = createHttpExchange({ connections: 8, mostBytes: MOST_BYTES, certificates })

  function failure(url: string, cause: unknown): AcmeError {
    const { host } = new URL(url)
    if (!(cause instanceof AnswerTooLong)) return new AcmeError(directory, describeNoAnswer(host, cause), { cause })
    const message = `${host} answered with more than a mebibyte, which no certificate authority does. Look at SOAKP_ACME_DIRECTORY.`
    return new AcmeError(directory, message)
  }

  return {
    async send({ url, method, body, accept = 'application/json' }, signal) {
      assertAllowed(url, directory)
      signal.throwIfAborted()
      const content = body === undefined ? {} : { 'content-type': 'application/jose+json' }
      const headers = { accept, 'user-agent': userAgent, ...content }
      try {
        return { url, ...(await exchange.send({ url, method, headers, body }, signal)) }
      } catch (cause) {
        signal.throwIfAborted()
        throw failure(url, cause)
      }
    },

    close: () => exchange.close(),
  }
}
