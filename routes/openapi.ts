import type { FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'

/** Serves the OpenAPI 3.1 document of SOAKP's own routes. */
const openapi: FastifyPluginAsync = async (app) => {
  app.get('/openapi.json', async () => app.swagger())
}

export default fp(openapi, { name: 'openapi', fastify: '5.x', encapsulate: true, dependencies: ['docs'] })
