import fp from 'fastify-plugin'
import type { FastifyInstance, FastifyReply, FastifyRequest, RequestPayload } from 'fastify'
import { SoakpError } from '../services/errors.ts'
import type { SoakpOptions } from '../services/options.ts'
import { logEnd } from './request-log.ts'

/** Gives bodies for SOAKP itself, which are short, a time to come in: those that are passed on have limits of their own. */
async function ownBodies(app: FastifyInstance, { configuration }: SoakpOptions): Promise<void> {
  const { clientIdleMs } = configuration.limits

  async function limitBodyTime(
    request: FastifyRequest,
    reply: FastifyReply,
    payload: RequestPayload,
  ): Promise<RequestPayload> {
    // Fastify does nothing more with a body that comes when its request has been answered.
    const timer = setTimeout(() => {
      if (!reply.sent) void reply.send(tooSlow(clientIdleMs))
    }, clientIdleMs).unref()
    payload.once('end', () => clearTimeout(timer))
    payload.once('close', () => {
      clearTimeout(timer)
      if ((request.raw.complete && !request.raw.aborted) || reply.sent) return
      request.logFields.end = 'client gone'
      // Over HTTP/1.1 Fastify does not tell of the end of a request whose client is gone.
      if (request.raw.httpVersionMajor === 1) logEnd(request, reply)
    })
    return payload
  }

  app.decorate('limitBodyTime', limitBodyTime)
}

function tooSlow(milliseconds: number): SoakpError {
  const message = `The body did not come within ${milliseconds / 1_000} s (SOAKP_CLIENT_IDLE_SECONDS).`
  return new SoakpError(408, 'SOAKP_REQUEST_TIMEOUT', message, { headers: { connection: 'close' } })
}

export default fp(ownBodies, { name: 'own-bodies', fastify: '5.x', dependencies: ['request-log'] })

declare module 'fastify' {
  interface FastifyInstance {
    /** `preParsing` hook of routes that read a body themselves. */
    readonly limitBodyTime: (
      request: FastifyRequest,
      reply: FastifyReply,
      payload: RequestPayload,
    ) => Promise<RequestPayload>
  }
}
