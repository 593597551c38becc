import type { Http2SecureServer, ServerHttp2Session, ServerHttp2Stream } from 'node:http2'
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
  const server: unknown = app.server
  const streams = createStreamWatch<ServerHttp2Stream>(clientIdleMs)

  // On plain HTTP there are none.
  ;(server as Http2SecureServer).on('session', (session: ServerHttp2Session) => {
    let running = 0
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
    session.once('close', () => clearTimeout(first))
  })

  const timer = setInterval(
    () => {
      for (const stream of streams.stuck(performance.now())) stream.destroy()
    },
    Math.min(WATCH_MS, clientIdleMs / 4),
  ).unref()
  app.addHook('onClose', async () => clearInterval(timer))
}

export default fp(sessions, { name: 'sessions', fastify: '5.x' })
