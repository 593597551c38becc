import { PassThrough } from 'node:stream'
import fp from 'fastify-plugin'
import type { FastifyInstance, FastifyRequest, RequestPayload } from 'fastify'
import { SoakpError } from '../services/errors.ts'
import type { SoakpOptions } from '../services/options.ts'

/** Gives bodies for SOAKP itself, which are short, a time to come in: those that are passed on have limits of their own. */
async function ownBodies(app: FastifyInstance, { configuration }: SoakpOptions): Promise<void> {
  const { clientIdleMs } = configuration.limits

  app.decorate('limitBodyTime', async (_request: FastifyRequest, _reply: unknown, payload: RequestPayload) => {
    const body = new PassThrough()
    const timer = setTimeout(() => body.destroy(tooSlow(clientIdleMs)), clientIdleMs).unref()
    payload.once('close', () => clearTimeout(timer))
    // Nobody listens once the request has been answered.
    body.once('close', () => clearTimeout(timer)).on('error', () => undefined)
    return payload.pipe(body)
  })
}

function tooSlow(milliseconds: number): SoakpError {
  const message = `The body did not come within ${milliseconds / 1_000} s (SOAKP_CLIENT_IDLE_SECONDS).`
  return new SoakpError(408, 'SOAKP_REQUEST_TIMEOUT', message, { headers: { connection: 'close' } })
}

export default fp(ownBodies, { name: 'own-bodies', fastify: '5.x' })

declare module 'fastify' {
  interface FastifyInstance {
    /** `preParsing` hook of routes that read a body themselves. */
    readonly limitBodyTime: (
      request: FastifyRequest,
      reply: unknown,
      payload: RequestPayload,
    ) => Promise<RequestPayload>
  }
}
