import fp from 'fastify-plugin'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { LoggedError } from '../services/log-fields.ts'

/** What is known of a request beyond the request itself; only these fields are ever logged. */
export interface LogFields {
  token?: string
  key?: string
  /** Code of the error it was answered with. */
  code?: string
  /** How a call that was passed on ended, and how many bytes of the answer were written. */
  end?: string
  bytes?: number
  /** Messages passed on by a WebSocket, both ways, and the close code that ended it. */
  messages?: number
  close_code?: number
  /** Why a call was cut. */
  error?: LoggedError
}

/** Writes one record for each request. No path, query, header or body is in it: they can hold anything. */
async function requestLog(app: FastifyInstance): Promise<void> {
  app.decorateRequest('logFields')
  app.decorateRequest('isPassedOn', false)
  app.addHook('onRequest', async (request) => {
    request.logFields = {}
  })

  app.addHook('onResponse', async (request, reply) => {
    if (!request.isPassedOn) logEnd(request, reply)
  })
}

/** Writes the record of a request that is over. A call that is passed on does this itself: nobody else knows its end. */
export function logEnd(
  { log, logFields, method, routeOptions }: FastifyRequest,
  { raw, elapsedTime }: FastifyReply,
): void {
  const duration_ms = Math.round(elapsedTime)
  // A client that left before the head got no status.
  const status = raw.headersSent ? raw.statusCode : undefined
  log.info({ method, route: routeOptions.url, status, duration_ms, ...logFields }, 'request ended')
}

export default fp(requestLog, { name: 'request-log', fastify: '5.x' })

declare module 'fastify' {
  interface FastifyRequest {
    logFields: LogFields
    /** Set once the answer to a call that is passed on is no longer Fastify's to write. */
    isPassedOn: boolean
  }
}
