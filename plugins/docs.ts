import swagger from '@fastify/swagger'
import fp from 'fastify-plugin'
import type { FastifyInstance, FastifySchema } from 'fastify'

/** Describes SOAKP's own routes as OpenAPI 3.1, from the schemas that check them. */
async function docs(app: FastifyInstance): Promise<void> {
  app.addSchema(ERROR)
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
    refResolver: { buildLocalReference: (schema) => schema.$id as string },
    // Any call may be refused, so every operation says how.
    transform: ({ schema, url }: { schema?: FastifySchema; url: string }) => ({
      schema: { ...schema, response: { ...Object(schema?.response), default: ERROR_ANSWER } },
      url,
    }),
  })
}

/** The envelope that every error has, as OpenAI's. */
const ERROR = {
  $id: 'SoakpError',
  type: 'object',
  required: ['error'],
  additionalProperties: false,
  properties: {
    error: {
      type: 'object',
      required: ['message', 'type', 'code', 'param'],
      additionalProperties: false,
      properties: {
        message: { type: 'string', description: 'A sentence that says what to do' },
        type: { type: 'string' },
        code: { type: 'string', description: 'SOAKP_…, stable' },
        param: { type: ['string', 'null'], description: 'The field that it is about' },
      },
    },
  },
}

const ERROR_ANSWER = { description: 'A refusal or a failure', $ref: 'SoakpError#' }

export default fp(docs, { name: 'docs', fastify: '5.x' })
