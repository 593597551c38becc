import fp from 'fastify-plugin'
import type { FastifyInstance } from 'fastify'
import { assertUnambiguous } from '../services/gate.ts'

/** Refuses ambiguous messages first of all. */
async function gate(app: FastifyInstance): Promise<void> {
  app.addHook('onRequest', async (request) => {
    assertUnambiguous(request.raw)
  })
}

export default fp(gate, { name: 'gate', fastify: '5.x' })
