import tls from 'node:tls'
import { Agent, request } from 'undici'
import { orAborted } from '../or-aborted.ts'
import { assertAllowed } from './allowed-url.ts'
import type { AcmeClientOptions } from './client.ts'
import { AcmeError } from './error.ts'
import { describeFailure } from './failure.ts'
import { readUserAgent } from './user-agent.ts'

/** A request as it goes out. */
export interface AcmeRequest {
  readonly url: string
  readonly method: 'GET' | 'HEAD' | 'POST'
  /** JSON; only with POST. */
  readonly body?: string | undefined
  readonly accept?: string | undefined
}

/** What was answered, whatever its status. Header names are in lower case, values that came several times are joined. */
export interface AcmeAnswer {
  readonly url: string
  readonly status: number
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly text: string
}

/** Sends requests to one authority. Throws `AcmeError` without a problem where nothing could be read as an answer. */
export interface Transport {
  send(request: AcmeRequest, signal: AbortSignal): Promise<AcmeAnswer>
  close(): Promise<void>
}

const LARGEST_BODY_BYTES = 1_048_576

/** Creates the way to an authority: HTTPS with verified certificates, no redirects, no repetition, no cache. */
export function createTransport({ directory, certificates }: AcmeClientOptions): Transport {
  const userAgent = readUserAgent()
  const closing = new AbortController()
  const agent = new Agent({
    allowH2: false,
    pipelining: 1,
    connections: 8,
    maxHeaderSize: 65_536,
    strictContentLength: true,
    // A connection that is about to be closed by the other side must not be taken for a request that cannot be repeated.
    keepAliveTimeout: 1000,
    keepAliveMaxTimeout: 1000,
    connect: {
      rejectUnauthorized: true,
      minVersion: 'TLSv1.2',
      // Without it a connection that is still being made when the client closes would keep the process alive.
      signal: closing.signal,
      ...(certificates !== undefined && { ca: [...tls.getCACertificates(), certificates] }),
    },
  })

  async function exchange(
    url: string,
    { method, body, accept, signal }: Omit<AcmeRequest, 'url'> & { readonly signal: AbortSignal },
  ): Promise<AcmeAnswer> {
    const answer = await request(url, {
      dispatcher: agent,
      method,
      signal,
      headers: {
        accept: accept ?? 'application/json',
        'user-agent': userAgent,
        ...(body !== undefined && { 'content-type': 'application/jose+json' }),
      },
      ...(body !== undefined && { body }),
    })
    const text = await readText(answer.body, () => tooLong(directory, url))
    return { url, status: answer.statusCode, headers: joinValues(answer.headers), text }
  }

  return {
    async send({ url, method, body, accept }, signal) {
      assertAllowed(url, directory)
      signal.throwIfAborted()
      try {
        // undici heeds a signal only once it is connected.
        return await orAborted(signal, exchange(url, { method, body, accept, signal }))
      } catch (cause) {
        signal.throwIfAborted()
        if (cause instanceof AcmeError) throw cause
        throw new AcmeError(directory, describeFailure(new URL(url).host, cause), { cause })
      }
    },

    async close() {
      closing.abort()
      await agent.destroy()
    },
  }
}

async function readText(body: AsyncIterable<Buffer>, createError: () => Error): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of body) {
    length += chunk.length
    if (length > LARGEST_BODY_BYTES) throw createError()
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

function tooLong(directory: string, url: string): AcmeError {
  const message = `${new URL(url).host} answered with more than a mebibyte, which no certificate authority does: look at SOAKP_ACME_DIRECTORY.`
  return new AcmeError(directory, message)
}

function joinValues(headers: Readonly<Record<string, string | readonly string[] | undefined>>) {
  return Object.fromEntries(
    Object.entries(headers).map(([name, value]) => [name, typeof value === 'string' ? value : value?.join(', ')]),
  )
}
