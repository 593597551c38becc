import type { IncomingMessage } from 'node:http'
import fp from 'fastify-plugin'
import type { FastifyInstance } from 'fastify'
import { SoakpError } from '../services/errors.ts'
import { assertHeadersShort, assertShort, assertUnambiguous } from '../services/gate.ts'
import { isHttp2 } from '../services/http2.ts'
import type { SoakpOptions } from '../services/options.ts'
import { isWebSocketRequest } from '../services/socket-handshake.ts'

/**
 * Refuses ambiguous messages first of all, all that follows one on its connection, and targets and, over HTTP/2, headers
 * that are too long.
 */
async function gate(app: FastifyInstance, { configuration }: SoakpOptions): Promise<void> {
  const { headerBytes, urlBytes } = configuration.limits
  // What follows may be a part of it, and may be looked at before the connection is closed.
  const over = new WeakSet<object>()

  app.addHook('onRequest', async ({ raw }, reply) => {
    if (over.has(raw.socket)) throw afterLast()
    try {
      assertUnambiguous(raw)
    } catch (error) {
      if (!isHttp2(raw)) over.add(raw.socket)
      throw error
    }
    if (isIgnoredUpgrade(raw)) {
      over.add(raw.socket)
      reply.raw.shouldKeepAlive = false
    }
    assertShort(raw.url, urlBytes)
    assertHeadersShort(raw, headerBytes)
  })
}

/** Node loses what came in one packet with an upgrade that is ignored, so the next that it reads may not be a beginning. */
function isIgnoredUpgrade(request: IncomingMessage): boolean {
  return request.headers.upgrade !== undefined && !isWebSocketRequest(request)
}

function afterLast(): SoakpError {
  const message = 'The request follows one that ended its connection. Send it on another.'
  return new SoakpError(400, 'SOAKP_REQUEST_AMBIGUOUS', message, { headers: { connection: 'close' } })
}

export default fp(gate, { name: 'gate', fastify: '5.x' })
