import swagger from '@fastify/swagger'
import fp from 'fastify-plugin'
import type { FastifyInstance } from 'fastify'

/** Describes SOAKP's own routes as OpenAPI 3.1, from the schemas that check them. */
async function docs(app: FastifyInstance): Promise<void> {
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: {
        title: 'SOAKP',
        description: 'Saves API keys, mints tokens. Calls to the OpenAI API go to /v1 with a token.',
        version: '1',
      },
      components: {
        securitySchemes: {
          admin: { type: 'http', scheme: 'bearer', description: 'The admin credential, soakp_admin_…' },
          token: { type: 'http', scheme: 'bearer', description: 'A token (JWT) that SOAKP minted' },
          basic: { type: 'http', scheme: 'basic', description: 'Admin name and credential' },
        },
      },
    },
    hideUntagged: true,
  })
}

export default fp(docs, { name: 'docs', fastify: '5.x' })
