import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import fp from 'fastify-plugin'
import { MeAnswer, describe } from './schemas.ts'

/** Tells a caller what its own token may do, until when, and what is left of its limits. */
const me: FastifyPluginAsyncTypebox = async (app) => {
  app.get(
    '/me',
    { schema: { ...describe('tokens', 'token', 'Show the token of the caller'), response: { 200: MeAnswer } } },
    async (request) => {
      const token = request.authenticatedToken()
      app.browserAccess.assertOrigin(request)
      const { id, subject, name, expires_at, scope, origins, limits } = await app.tokens.find(token.grant.token_id)
      const remaining = await app.limits.remaining(request, token)
      return { object: 'token' as const, id, subject, name, expires_at, scope, origins, limits, remaining }
    },
  )
}

export default fp(me, { name: 'me', fastify: '5.x', encapsulate: true, dependencies: ['auth', 'limits', 'cors'] })
