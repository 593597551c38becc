import { ServerResponse } from 'node:http'
import type { IncomingMessage, RequestListener, Server } from 'node:http'
import type { Socket } from 'node:net'
import { WebSocketServer } from 'ws'
import type { OwnAnswers } from './answers.ts'
import { checkKey } from './authentication.ts'
import { sendError } from './errors.ts'
import { setOpenAIHeaders } from './headers.ts'
import type { RecordedRequest } from './recorder.ts'
import { openLive } from './sockets-live.ts'
import { openRealtime } from './sockets-realtime.ts'
import { openResponses } from './sockets-responses.ts'
import type { OpenSession } from './sockets-session.ts'

/** What the WebSocket side shares with the rest of the practice upstream. */
export interface PracticeSocketsOptions {
  readonly server: Server
  readonly keys: ReadonlySet<string>
  readonly ownAnswers: OwnAnswers
  readonly chunkDelayMs: number
  /** Ends all sessions. */
  readonly closing: AbortSignal
  readonly record: (request: RecordedRequest) => void
  /** Answers what is no WebSocket after all: own answers and unknown paths. */
  readonly answer: RequestListener
}

const endpoints: Readonly<Record<string, OpenSession>> = {
  '/v1/realtime': openRealtime,
  '/v1/responses': openResponses,
  '/v1/live/sessions': openLive,
}

const KEY_PROTOCOL = 'openai-insecure-api-key.'

/** Speaks WebSocket where OpenAI does. A test that listens to the server's `upgrade` itself has all upgrades instead. */
export function serveSockets(options: PracticeSocketsOptions): void {
  const { server, keys, ownAnswers, chunkDelayMs, closing, record, answer } = options
  const sockets = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    maxPayload: 16 * 1024 * 1024,
    perMessageDeflate: true,
    handleProtocols: (offered) => offered.has('realtime') && 'realtime',
  })

  server.on('upgrade', (request: IncomingMessage, connection: Socket, head: Buffer) => {
    if (server.listenerCount('upgrade') > 1) return
    connection.on('error', () => connection.destroy())
    const response = new ServerResponse(request)
    response.shouldKeepAlive = false
    response.assignSocket(connection)
    response.once('finish', () => connection.destroySoon())
    record(recordHandshake(request, connection))
    const { pathname: path, searchParams: query } = new URL(request.url ?? '', 'http://localhost')
    const open = ownAnswers.find('GET', path) === undefined ? endpoints[path] : undefined
    if (open === undefined || request.method !== 'GET') return answer(request, response)
    setOpenAIHeaders(response)
    try {
      checkKey(request.headers.authorization ?? subprotocolKey(request), keys)
    } catch (error) {
      return sendError(response, error)
    }
    response.detachSocket(connection)
    return sockets.handleUpgrade(request, connection, head, (socket) => {
      socket.on('error', () => undefined)
      const gone = new AbortController()
      socket.once('close', () => gone.abort())
      open({ socket, query, chunkDelayMs, signal: AbortSignal.any([closing, gone.signal]) })
    })
  })
}

/** Browsers cannot set headers on a WebSocket. */
function subprotocolKey({ headers }: IncomingMessage): string | undefined {
  const protocols = headers['sec-websocket-protocol']?.split(',').map((each) => each.trim()) ?? []
  const key = protocols.find((each) => each.startsWith(KEY_PROTOCOL))
  return key === undefined ? undefined : `Bearer ${key.slice(KEY_PROTOCOL.length)}`
}

function recordHandshake({ method = '', url = '', rawHeaders }: IncomingMessage, connection: Socket): RecordedRequest {
  return {
    method,
    url,
    rawHeaders,
    body: Buffer.alloc(0),
    bodyBytes: 0,
    bodySha256: undefined,
    complete: true,
    get aborted() {
      return connection.destroyed
    },
    ended: new Promise((resolve) => connection.once('close', () => resolve())),
  }
}
