import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import fp from 'fastify-plugin'
import { Type } from 'typebox'
import { describe } from './schemas.ts'

/** Shows figures for Prometheus. */
const metrics: FastifyPluginAsyncTypebox = async (app) => {
  const schema = {
    ...describe('certificates', 'admin', 'Show figures in the text format of Prometheus'),
    response: { 200: { content: { 'text/plain': { schema: Type.String() } } } },
  }
  app.get('/metrics', { logLevel: 'warn', schema }, async (_request, reply) => {
    const { contentType, text } = await app.readMetrics()
    return reply.type(contentType).send(text)
  })
}

export default fp(metrics, {
  name: 'metrics-route',
  fastify: '5.x',
  encapsulate: true,
  dependencies: ['metrics', 'auth'],
})
