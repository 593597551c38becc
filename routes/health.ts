import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import fp from 'fastify-plugin'
import { SoakpError } from '../services/errors.ts'
import { StatusAnswer, describe } from './schemas.ts'

/** Tells whether the process lives, and whether it can serve. Neither needs a credential nor gives anything away. */
const health: FastifyPluginAsyncTypebox = async (app) => {
  const { store } = app.unsealed
  const schema = (summary: string) => ({ ...describe('health', undefined, summary), response: { 200: StatusAnswer } })

  app.get(
    '/health',
    { exposeHeadRoute: true, logLevel: 'warn', schema: schema('Is the process alive?') },
    async () => ({ status: 'ok' }),
  )

  app.get('/ready', { exposeHeadRoute: true, logLevel: 'warn', schema: schema('Can it serve?') }, async () => {
    try {
      store.ping()
    } catch (cause) {
      throw new SoakpError(503, 'SOAKP_NOT_READY', 'The database cannot be read.', { cause })
    }
    const reasons = (await app.certificateFaults?.()) ?? []
    return reasons.length === 0 ? { status: 'ready' } : { status: 'degraded', reasons: [...reasons] }
  })
}

export default fp(health, { name: 'health', fastify: '5.x', encapsulate: true, dependencies: ['vault'] })
