import type { FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import { Type } from 'typebox'
import { describe } from './schemas.ts'

/** Serves the OpenAPI 3.1 document of SOAKP's own routes. */
const openapi: FastifyPluginAsync = async (app) => {
  const response = { 200: Type.Object({}, { additionalProperties: true }) }
  const schema = { ...describe('docs', undefined, 'Show this document'), response }
  app.get('/openapi.json', { schema }, async () => app.swagger())
}

export default fp(openapi, { name: 'openapi', fastify: '5.x', encapsulate: true, dependencies: ['docs'] })
