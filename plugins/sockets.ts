import { ServerResponse } from 'node:http'
import type { IncomingMessage } from 'node:http'
import type { Duplex } from 'node:stream'
import fp from 'fastify-plugin'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { WebSocketServer } from 'ws'
import type { WebSocket } from 'ws'
import { readableBody } from '../services/content-encoding.ts'
import { headerValues, responseHeaders } from '../services/headers.ts'
import { createLeakGuard } from '../services/leak-guard.ts'
import type { SoakpOptions } from '../services/options.ts'
import { POLICY_VIOLATION, relaySocket } from '../services/socket-relay.ts'
import { keyLeaked, keyRefused, tokenEnded } from '../services/upstream-errors.ts'
import { openUpstreamSocket } from '../services/upstream-socket.ts'
import type { SocketRefusal, UpstreamSocketCall } from '../services/upstream-socket.ts'
import { logEnd } from './request-log.ts'

/** A request that wants to become a WebSocket. */
interface Upgrade {
  readonly socket: Duplex
  readonly head: Buffer
}

/** What of a call the relay cannot know. */
export type SocketCall = Pick<UpstreamSocketCall, 'url' | 'protocols' | 'headers' | 'connect'> & {
  /** The upstream key, which must not come back. */
  readonly key: string
  readonly tokenId: string
  readonly keyId: string
}

/** The WebSocket relay. */
export interface Sockets {
  /** Tells whether a request wants to become a WebSocket. */
  readonly isUpgrade: (request: FastifyRequest) => boolean
  /** Connects to the upstream first; only when that is open, the client gets its 101. */
  readonly pass: (request: FastifyRequest, reply: FastifyReply, call: SocketCall) => Promise<void>
}

const OWN_PATH = /^\/(?:v1|openai)(?:[/?]|$)/

/** RFC 6455 section 7.4.1: going away. */
const GOING_AWAY = 1001

/** Relays WebSockets. Their requests go through the same routes and hooks as all others, so refusals have a status. */
async function sockets(app: FastifyInstance, { configuration }: SoakpOptions): Promise<void> {
  const upgrades = new WeakMap<IncomingMessage, Upgrade>()
  const chosen = new WeakMap<IncomingMessage, string>()
  const running = new Set<(code: number, reason: string) => void>()
  const server = new WebSocketServer({
    noServer: true,
    maxPayload: configuration.socketMessageBytes,
    perMessageDeflate: false,
    autoPong: false,
    skipUTF8Validation: false,
    handleProtocols: (_offered, request) => chosen.get(request) ?? false,
  })
  const times = { heartbeatMs: configuration.socketHeartbeatMs, closeMs: 2_000 }

  app.decorate('sockets', {
    isUpgrade: ({ raw }) => upgrades.has(raw),

    async pass(request, reply, call) {
      const upgrade = upgrades.get(request.raw)
      if (upgrade === undefined) throw new TypeError('this request is no upgrade')
      const guard = createLeakGuard(call.key)
      const gone = new AbortController()
      let isEnded = false
      const leave = app.unsealed.liveCalls.add(call.tokenId, call.keyId, () => {
        isEnded = true
        gone.abort()
      })
      const onGone = () => gone.abort()
      upgrade.socket.once('close', onGone)
      try {
        const options = { handshakeMs: configuration.upstreamConnectMs, mostBytes: configuration.socketMessageBytes }
        const result = await openUpstreamSocket({ ...call, ...options }, gone.signal)
        if ('refusal' in result) return await passRefusal(request, reply, result.refusal, guard)
        leave()
        await join(request, reply, upgrade, result.socket, call, guard)
      } catch (error) {
        throw isEnded ? tokenEnded() : error
      } finally {
        leave()
        upgrade.socket.off('close', onGone)
        guard.end()
      }
    },
  } satisfies Sockets)

  /** Gives the client its 101 and joins it to the upstream until one of them closes. */
  async function join(
    request: FastifyRequest,
    reply: FastifyReply,
    { socket, head }: Upgrade,
    upstream: WebSocket,
    { tokenId, keyId }: SocketCall,
    guard: ReturnType<typeof createLeakGuard>,
  ): Promise<void> {
    passOn(request, reply)
    reply.raw.detachSocket(request.raw.socket)
    if (upstream.protocol !== '') chosen.set(request.raw, upstream.protocol)
    const opened = Promise.withResolvers<WebSocket | undefined>()
    socket.once('close', () => opened.resolve(undefined))
    server.handleUpgrade(request.raw, socket, head, (client) => opened.resolve(client))
    const client = await opened.promise
    if (client === undefined) return upstream.terminate()
    const relayed = relaySocket(client, upstream, guard, times)
    const leave = app.unsealed.liveCalls.add(tokenId, keyId, () =>
      relayed.end(POLICY_VIOLATION, 'the token was revoked'),
    )
    running.add(relayed.end)
    upstream.resume()
    const { end, bytes, code, messages } = await relayed.outcome
    running.delete(relayed.end)
    leave()
    Object.assign(request.logFields, { end, bytes, messages, close_code: code })
    logEnd(request, reply)
  }

  app.server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    // In somebody else's Fastify, its other paths may have a listener of their own.
    if (app.server.listenerCount('upgrade') > 1 && !OWN_PATH.test(request.url ?? '')) return
    socket.on('error', () => socket.destroy())
    const response = new ServerResponse(request)
    response.shouldKeepAlive = false
    response.assignSocket(request.socket)
    response.once('finish', () => socket.end())
    if (isWebSocket(request)) upgrades.set(request, { socket, head })
    app.routing(request, response)
  })
  // From Node 24.9 on, requests to upgrade to anything else stay ordinary requests (RFC 9110 section 7.8).
  Object.assign(app.server, { shouldUpgradeCallback: isWebSocket })

  app.addHook('preClose', async () => {
    for (const end of running) end(GOING_AWAY, 'the server is stopping')
  })
}

/** Hands on an upstream's answer other than 101 as it is, unless it says that the key is bad, or holds it. */
async function passRefusal(
  request: FastifyRequest,
  reply: FastifyReply,
  { status, reason, headers, body }: SocketRefusal,
  guard: ReturnType<typeof createLeakGuard>,
): Promise<void> {
  if (status === 401) throw keyRefused()
  const passed = responseHeaders(headers).filter((_each, index, all) => !isLength(all[index - (index % 2)]))
  const readable = await readableBody(body, headerValues(passed, 'content-encoding'))
  if (readable === undefined || [readable, ...headers, Buffer.from(reason)].some((each) => guard.isIn(each))) {
    throw keyLeaked()
  }
  passOn(request, reply)
  reply.raw.writeHead(status, reason, [...passed, 'content-length', String(body.length)])
  reply.raw.end(body)
  Object.assign(request.logFields, { end: 'refused', bytes: body.length })
  logEnd(request, reply)
}

function passOn(request: FastifyRequest, reply: FastifyReply): void {
  reply.hijack()
  request.isPassedOn = true
}

function isLength(name: string | undefined): boolean {
  return name?.toLowerCase() === 'content-length'
}

function isWebSocket({ method, headers }: IncomingMessage): boolean {
  return method === 'GET' && headers.upgrade?.toLowerCase() === 'websocket'
}

export default fp(sockets, { name: 'sockets', fastify: '5.x', dependencies: ['vault'] })

declare module 'fastify' {
  interface FastifyInstance {
    readonly sockets: Sockets
  }
}
