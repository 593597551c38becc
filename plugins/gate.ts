import fp from 'fastify-plugin'
import type { FastifyInstance } from 'fastify'
import { assertShort, assertUnambiguous } from '../services/gate.ts'
import type { SoakpOptions } from '../services/options.ts'

/** Refuses ambiguous messages first of all, and targets that are too long. */
async function gate(app: FastifyInstance, { configuration }: SoakpOptions): Promise<void> {
  const { urlBytes } = configuration.limits
  app.addHook('onRequest', async (request) => {
    assertUnambiguous(request.raw)
    assertShort(request.raw.url, urlBytes)
  })
}

export default fp(gate, { name: 'gate', fastify: '5.x' })
