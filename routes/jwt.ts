import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import fp from 'fastify-plugin'
import { LegacyAnswer, LegacyBody, describe } from './schemas.ts'

/** The 2023 soakp's way to save a key and get a token, by HTTP Basic. */
const jwt: FastifyPluginAsyncTypebox = async (app) => {
  const { vault } = app.unsealed

  for (const path of ['/jwt/generate', '/get-jwt']) {
    app.post(
      path,
      {
        schema: {
          ...describe('jwt', 'basic', 'Save a key and get a token, as in 2023'),
          body: LegacyBody,
          response: { 200: LegacyAnswer },
        },
      },
      async ({ body: { key, org, orgId, project }, log }) => {
        const saved = await vault.save({ key, organization: org ?? orgId, project })
        const token = await app.tokens.mint({ key_id: saved.id })
        log.info({ key: saved.id, upstream: saved.base_url, token: token.id }, 'key saved')
        return { status: 201 as const, message: 'JWT added' as const, data: { jwt: token.token } }
      },
    )
  }
}

export default fp(jwt, { name: 'jwt', fastify: '5.x', encapsulate: true, dependencies: ['vault', 'auth'] })
