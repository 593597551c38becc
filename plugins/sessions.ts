import type { Http2SecureServer, ServerHttp2Session, ServerHttp2Stream } from 'node:http2'
import type { TLSSocket } from 'node:tls'
import fp from 'fastify-plugin'
import type { FastifyInstance } from 'fastify'
import type { SoakpOptions } from '../services/options.ts'
import { createStreamWatch } from '../services/stream-watch.ts'

/** Streams are looked at this often, or more where a client's silence may be short. */
const WATCH_MS = 1_000

/**
 * Ends sessions of HTTP/2 that have nothing under way: those on which no request has come whole in time, and those that
 * are silent for as long as Fastify allows. Node waits for ever for the end of headers that were begun, even when it is
 * told to close. Ends streams whose answer the client does not take, too: Node would wait for ever.
 */
async function sessions(app: FastifyInstance, { configuration }: SoakpOptions): Promise<void> {
  const { headersMs, clientIdleMs } = configuration.limits
  // On plain HTTP there are no sessions.
  const server = app.server as unknown as Http2SecureServer
  const streams = createStreamWatch<ServerHttp2Stream>(clientIdleMs)
  const looks = new Set<(nowMs: number) => void>()
  let connection: TLSSocket | undefined

  // A session is made in the same turn, and does not give its connection away.
  server.prependListener('secureConnection', (socket: TLSSocket) => (connection = socket))
  server.on('session', (session: ServerHttp2Session) => {
    const socket = connection
    let running = 0
    let overMs: number | undefined

    /** Ends a connection on which both sides have said goodbye: of a client that breaks off then, Node may never hear. */
    function look(nowMs: number): void {
      const isOver = running === 0 && (session.closed || session.destroyed)
      overMs = isOver ? (overMs ?? nowMs) : undefined
      if (overMs !== undefined && nowMs - overMs >= clientIdleMs) socket?.destroy()
    }

    looks.add(look)
    const first = setTimeout(() => session.destroy(), headersMs)
    session.on('stream', (stream) => {
      clearTimeout(first)
      running += 1
      const forget = streams.add(stream)
      stream.once('close', () => {
        running -= 1
        forget()
      })
      // A call has to end at once with its client; of a reset with NO_ERROR nothing else tells.
      stream.once('aborted', () => process.nextTick(() => stream.destroy()))
    })
    session.on('timeout', () => {
      if (running === 0) session.destroy()
    })
    session.once('close', () => {
      clearTimeout(first)
      looks.delete(look)
    })
  })

  const timer = setInterval(
    () => {
      const nowMs = performance.now()
      for (const stream of streams.stuck(nowMs)) stream.destroy()
      for (const each of looks) each(nowMs)
    },
    Math.min(WATCH_MS, clientIdleMs / 4),
  ).unref()
  app.addHook('onClose', async () => clearInterval(timer))
}

export default fp(sessions, { name: 'sessions', fastify: '5.x' })
