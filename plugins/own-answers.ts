import fp from 'fastify-plugin'
import type { FastifyInstance } from 'fastify'

/** Gives SOAKP's own answers, errors too, their headers. What is passed on from an upstream never comes through here. */
async function ownAnswers(app: FastifyInstance): Promise<void> {
  app.addHook('onSend', async (request, reply, payload) => {
    reply.headers({
      'x-request-id': request.id,
      // An answer may hold a credential that is shown once, and no browser should guess at what it is.
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      'cross-origin-resource-policy': 'same-origin',
    })
    return payload
  })
}

export default fp(ownAnswers, { name: 'own-answers', fastify: '5.x' })
