import type { IncomingMessage, ServerResponse } from 'node:http'
import fp from 'fastify-plugin'
import type { FastifyInstance } from 'fastify'
import type { SoakpOptions } from '../services/options.ts'

/**
 * Ends HTTP/1 connections on which a body still comes long after its request was answered. What comes is thrown away,
 * so that a client that sends first and reads then gets its answer; one that never stops has no more than this time.
 * Of a stream of HTTP/2 Node takes no more then than its window.
 */
async function lingering(app: FastifyInstance, { configuration }: SoakpOptions): Promise<void> {
  const { clientIdleMs } = configuration.limits

  function watch(request: IncomingMessage, response: ServerResponse): void {
    response.once('finish', () => {
      if (request.complete) return
      const { socket } = request
      const timer = setTimeout(() => socket.destroy(), clientIdleMs).unref()
      request.once('end', () => clearTimeout(timer))
      socket.once('close', () => clearTimeout(timer))
    })
  }

  // Not a hook: before what Fastify's router refuses, none runs.
  for (const event of ['request', 'checkContinue', 'checkExpectation']) app.server.on(event, watch)
}

export default fp(lingering, { name: 'lingering', fastify: '5.x' })
