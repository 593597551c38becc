import fp from 'fastify-plugin'
import type { FastifyInstance } from 'fastify'
import { assertUnambiguous } from '../services/gate.ts'

/** Refuses ambiguous messages first of all, and answers `Expect: 100-continue` only once a request was let in. */
async function gate(app: FastifyInstance): Promise<void> {
  const waiting = new WeakSet<object>()

  app.addHook('onRequest', async (request) => {
    assertUnambiguous(request.raw)
  })

  // Node would answer 100 before any hook has run. RFC 9110 section 10.1.1: other expectations are ignored.
  app.server.on('checkContinue', (request, response) => {
    waiting.add(request)
    app.routing(request, response)
  })
  app.server.on('checkExpectation', (request, response) => app.routing(request, response))
  app.addHook('preParsing', async (request, reply, payload) => {
    if (waiting.has(request.raw)) reply.raw.writeContinue()
    return payload
  })
}

export default fp(gate, { name: 'gate', fastify: '5.x' })
