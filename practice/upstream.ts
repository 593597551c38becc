import { once } from 'node:events'
import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { createServer as createSecureServer } from 'node:https'
import type { Socket } from 'node:net'
import { createOwnAnswers } from './answers.ts'
import type { PracticeHandler } from './answers.ts'
import { checkKey } from './authentication.ts'
import { createRoutes } from './endpoints.ts'
import { sendError } from './errors.ts'
import { readBody } from './exchange.ts'
import { setOpenAIHeaders } from './headers.ts'
import { randomId } from './ids.ts'
import { recordRequest } from './recorder.ts'
import type { RecordedRequest } from './recorder.ts'
import { findRoute } from './router.ts'
import { serveSockets } from './sockets.ts'

export type { PracticeHandler } from './answers.ts'
export type { RecordedRequest } from './recorder.ts'

/** How a practice upstream is started; every field has a default. */
export interface PracticeOptions {
  /** The address to listen on: 127.0.0.1 by default. */
  readonly host?: string
  /** The port to listen on; 0, the default, takes a free one. */
  readonly port?: number
  /** The API key it accepts; by default a fresh one that looks like `sk-practice-…`. */
  readonly key?: string
  /** Certificate and private key as PEM, to speak HTTPS. */
  readonly tls?: { readonly cert: string; readonly key: string }
  /** The pause between two events of a stream: 0 by default, about 20 for human eyes. */
  readonly chunkDelayMs?: number
  /** How many of the newest requests are remembered: 10,000 by default; 0 for a bench. */
  readonly recordLimit?: number
}

/** A running imitation of the OpenAI API. */
export interface PracticeUpstream {
  /** The base URL for an OpenAI client, such as `http://127.0.0.1:40123/v1`. */
  readonly url: string
  readonly port: number
  readonly key: string
  /** The accepted keys; add and delete to practise rotation. */
  readonly keys: Set<string>
  /** What came, oldest first. */
  readonly requests: readonly RecordedRequest[]
  /** The server itself, so that a test can listen to `checkContinue`, or to `upgrade`, which is then all its own. */
  readonly server: Server
  /** Forgets the recorded requests. */
  clear(): void
  /**
   * Answers one method and exact path (with /v1, without query, as it comes) by a handler of the test's own, before
   * authentication and before the body is read. `*` stands for any method or any path; the more exact one wins.
   * Returns a function that takes the handler back.
   */
  handle(method: string, path: string, handler: PracticeHandler): () => void
  /** Counts the TCP connections that are open now. */
  openConnections(): number
  /** Destroys every connection, stops every timer and frees the port; may be called twice. */
  close(): Promise<void>
}

/** Starts a practice upstream and resolves when it listens. */
export async function startPracticeUpstream(options: PracticeOptions = {}): Promise<PracticeUpstream> {
  const { host = '127.0.0.1', key = randomId('sk-practice-'), chunkDelayMs = 0, recordLimit = 10_000 } = options
  const keys = new Set([key])
  const requests: RecordedRequest[] = []
  const sockets = new Set<Socket>()
  const ownAnswers = createOwnAnswers()
  const closing = new AbortController()
  const routes = createRoutes(closing.signal)

  const server = options.tls === undefined ? createServer() : createSecureServer(options.tls)
  server.keepAliveTimeout = 60_000
  server.requestTimeout = 0
  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  const record = (request: RecordedRequest) => {
    if (recordLimit > 0) requests.push(request)
    if (requests.length > recordLimit) requests.shift()
  }
  server.on('request', (request, response) => {
    if (recordLimit > 0) record(recordRequest(request, response))
    // A write between the loss of the connection and its `close` event is an error nobody needs to hear of.
    response.on('error', () => undefined)
    void answer(request, response)
  })

  serveSockets({
    server,
    keys,
    ownAnswers,
    chunkDelayMs,
    closing: closing.signal,
    record,
    answer: (request, response) => void answer(request, response),
  })

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const gone = new AbortController()
    response.once('close', () => gone.abort())
    try {
      await route(request, response, gone.signal)
    } catch (error) {
      if (gone.signal.aborted) return
      if (response.headersSent) response.destroy()
      else sendError(response, error)
    }
  }

  async function route(request: IncomingMessage, response: ServerResponse, signal: AbortSignal): Promise<void> {
    const { method = 'GET', url = '/' } = request
    const queryStart = url.indexOf('?')
    const path = queryStart === -1 ? url : url.slice(0, queryStart)
    const own = ownAnswers.find(method, path)
    if (own !== undefined) return own(request, response, () => readBody(request, Infinity))
    setOpenAIHeaders(response)
    checkKey(request.headers.authorization, keys)
    const { route: endpoint, params } = findRoute(routes, method, path)
    const query = new URLSearchParams(queryStart === -1 ? '' : url.slice(queryStart))
    await endpoint.answer({ request, response, path, query, params, signal, chunkDelayMs })
  }

  server.listen(options.port ?? 0, host)
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('The practice upstream needs a TCP port.')
  const { port } = address
  return {
    url: `${options.tls === undefined ? 'http' : 'https'}://${host.includes(':') ? `[${host}]` : host}:${port}/v1`,
    port,
    key,
    keys,
    requests,
    server,
    clear: () => requests.splice(0),
    handle: (method, path, handler) => ownAnswers.add(method, path, handler),
    openConnections: () => sockets.size,
    async close() {
      closing.abort()
      for (const socket of sockets) socket.destroy()
      sockets.clear()
      if (!server.listening) return
      server.close()
      await once(server, 'close')
    },
  }
}
