import type { Http2SecureServer, ServerHttp2Session } from 'node:http2'
import fp from 'fastify-plugin'
import type { FastifyInstance } from 'fastify'
import type { SoakpOptions } from '../services/options.ts'

/**
 * Ends sessions of HTTP/2 that have nothing under way: those on which no request has come whole in time, and those that
 * are silent for as long as Fastify allows. Node waits for ever for the end of headers that were begun, even when it is
 * told to close.
 */
async function sessions(app: FastifyInstance, { configuration }: SoakpOptions): Promise<void> {
  const { headersMs } = configuration.limits
  const server: unknown = app.server

  // On plain HTTP there are none.
  ;(server as Http2SecureServer).on('session', (session: ServerHttp2Session) => {
    let running = 0
    const first = setTimeout(() => session.destroy(), headersMs)
    session.on('stream', (stream) => {
      clearTimeout(first)
      running += 1
      stream.once('close', () => (running -= 1))
    })
    session.on('timeout', () => {
      if (running === 0) session.destroy()
    })
    session.once('close', () => clearTimeout(first))
  })
}

export default fp(sessions, { name: 'sessions', fastify: '5.x' })
