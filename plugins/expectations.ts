import fp from 'fastify-plugin'
import type { FastifyInstance } from 'fastify'

/** Answers `Expect: 100-continue` only once a request was let in. Node would do it before any hook has run. */
async function expectations(app: FastifyInstance): Promise<void> {
  const waiting = new WeakSet<object>()

  app.server.on('checkContinue', (request, response) => {
    waiting.add(request)
    app.routing(request, response)
  })
  // RFC 9110 section 10.1.1: other expectations are ignored.
  app.server.on('checkExpectation', (request, response) => app.routing(request, response))
  app.addHook('preParsing', async (request, reply, payload) => {
    if (waiting.has(request.raw)) reply.raw.writeContinue()
    return payload
  })
}

export default fp(expectations, { name: 'expectations', fastify: '5.x' })
