import type { IncomingMessage, ServerResponse } from 'node:http'
import fp from 'fastify-plugin'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { SoakpError } from '../services/errors.ts'
import { createLeakGuard } from '../services/leak-guard.ts'
import type { LeakGuard } from '../services/leak-guard.ts'
import type { SoakpOptions } from '../services/options.ts'
import { createSocketBuffers } from '../services/socket-buffers.ts'
import type { OpenSocketShare } from '../services/socket-buffers.ts'
import { GOING_AWAY, POLICY_VIOLATION } from '../services/socket-close.ts'
import { assertHandshake } from '../services/socket-handshake.ts'
import { CLOSE_MS } from '../services/socket-options.ts'
import { passableRefusal } from '../services/socket-refusal.ts'
import type { SocketRefusal } from '../services/socket-refusal.ts'
import { relaySocket } from '../services/socket-relay.ts'
import type { RunningSocketRelay } from '../services/socket-relay.ts'
import { createSocketServer } from '../services/socket-server.ts'
import { listenToUpgrades } from '../services/upgrades.ts'
import type { Upgrade } from '../services/upgrades.ts'
import { keyLeaked } from '../services/upstream-errors.ts'
import { openUpstreamSocket } from '../services/upstream-socket.ts'
import type { UpstreamSocket, UpstreamSocketCall } from '../services/upstream-socket.ts'
import { watchWaitingClient } from '../services/waiting-client.ts'
import { logEnd } from './request-log.ts'

/** What of a call the relay cannot know. */
export type SocketCall = Omit<UpstreamSocketCall, 'handshakeMs' | 'mostBytes'> & {
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

/** Why SOAKP ends a call: in words for a client that waits for its answer, and for one that has its WebSocket. */
interface Ending {
  readonly refusal: () => SoakpError
  readonly code: number
  readonly reason: string
}

const STOPPING: Ending = { refusal: stopping, code: GOING_AWAY, reason: 'the server is stopping' }

/** In somebody else's Fastify, its other paths may have an upgrade listener of their own. */
const OWN_PATH = /^\/(?:v1|openai)(?:[/?]|$)/

/** Relays WebSockets. Their requests go through the same routes and hooks as all others, so refusals have a status. */
async function sockets(app: FastifyInstance, { configuration }: SoakpOptions): Promise<void> {
  const { socketMessageBytes: mostBytes, upstreamConnectMs: handshakeMs } = configuration
  const times = { heartbeatMs: configuration.socketHeartbeatMs, closeMs: CLOSE_MS }
  const running = new Set<(ending: Ending) => void>()
  const server = createSocketServer(mostBytes)
  const buffers = createSocketBuffers(configuration.limits.socketBufferBytes)
  const route = (request: IncomingMessage, response: ServerResponse) => app.routing(request, response)
  const upgrades = listenToUpgrades(app.server, route, (path) => OWN_PATH.test(path))

  app.decorate('sockets', {
    isUpgrade: ({ raw }) => upgrades.find(raw) !== undefined,

    async pass(request, reply, call) {
      const upgrade = upgrades.find(request.raw)
      if (upgrade === undefined) throw new TypeError('this request is no upgrade')
      assertHandshake(request.raw)
      const guard = createLeakGuard(call.key)
      const gone = new AbortController()
      let refusal: SoakpError | undefined
      let relayed: RunningSocketRelay | undefined

      function end(ending: Ending): void {
        if (relayed !== undefined) return relayed.end(ending.code, ending.reason)
        refusal = ending.refusal()
        return gone.abort()
      }

      running.add(end)
      const leave = app.unsealed.liveCalls.add(call.tokenId, call.keyId, (why) => end(endingOf(why)))
      const waiting = watchWaitingClient(upgrade, () => gone.abort())
      try {
        const answer = await openUpstreamSocket({ ...call, handshakeMs, mostBytes }, gone.signal).finally(
          waiting.release,
        )
        if ('status' in answer) {
          const refused = await passableRefusal(answer, guard)
          writeRefusal(request, reply, refused)
          return
        }
        try {
          relayed = join(request, reply, waiting.upgrade(), answer, guard, gone.signal, buffers.of(call.tokenId))
        } catch (error) {
          answer.webSocket.terminate()
          throw error
        }
        const { code, ...outcome } = await relayed.outcome
        logSocket(request, reply, { status: 101, close_code: code, ...outcome })
      } catch (error) {
        if (refusal !== undefined) throw refusal
        if (!gone.signal.aborted && !upgrade.connection.destroyed) throw error
        // One that has only ended its own side would stay for ever.
        upgrade.connection.destroy()
        logSocket(request, reply, { end: 'client gone' })
      } finally {
        running.delete(end)
        leave()
        guard.end()
      }
    },
  } satisfies Sockets)

  /** Gives the client its 101 and joins it to the upstream. */
  function join(
    request: FastifyRequest,
    reply: FastifyReply,
    upgrade: Upgrade,
    upstream: UpstreamSocket,
    guard: LeakGuard,
    gone: AbortSignal,
    openShare: OpenSocketShare,
  ): RunningSocketRelay {
    gone.throwIfAborted()
    if (upstream.headers.some((each) => guard.isIn(Buffer.from(each)))) throw keyLeaked()
    reply.hijack()
    reply.raw.detachSocket(upgrade.connection)
    const webSocket = server.accept(request.raw, upgrade, upstream)
    return relaySocket({ webSocket, connection: upgrade.connection }, upstream, guard, times, openShare)
  }

  app.addHook('preClose', async () => {
    for (const end of running) end(STOPPING)
  })
}

/** Writes an upstream's answer other than 101. */
function writeRefusal(request: FastifyRequest, reply: FastifyReply, refusal: SocketRefusal): void {
  const { status, reason, headers, body } = refusal
  reply.raw.writeHead(status, reason, [...headers])
  reply.hijack()
  reply.raw.end(body)
  logSocket(request, reply, { end: 'refused', bytes: body.length })
}

/** Ends the record of a request whose answer is not Fastify's to write. */
function logSocket(request: FastifyRequest, reply: FastifyReply, fields: object): void {
  reply.hijack()
  request.isPassedOn = true
  Object.assign(request.logFields, fields)
  logEnd(request, reply)
}

function endingOf(why: SoakpError): Ending {
  const reason = why.code === 'SOAKP_CALL_TOO_LONG' ? 'the call took too long' : 'the token was revoked'
  return { refusal: () => why, code: POLICY_VIOLATION, reason }
}

function stopping(): SoakpError {
  return new SoakpError(503, 'SOAKP_STOPPING', 'This SOAKP is being stopped. Try again in a moment.')
}

export default fp(sockets, { name: 'sockets', fastify: '5.x', dependencies: ['vault'] })

declare module 'fastify' {
  interface FastifyInstance {
    readonly sockets: Sockets
  }
}
