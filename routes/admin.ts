import type { FastifyPluginAsyncTypebox } from '@fastify/type-provider-typebox'
import fp from 'fastify-plugin'
import { AdminCredentialAnswer, describe } from './schemas.ts'

/** Makes a new admin credential; the old one ends at once. */
const admin: FastifyPluginAsyncTypebox = async (app) => {
  app.post(
    '/admin/reset',
    {
      schema: {
        ...describe('admin', 'admin', 'Make a new admin credential'),
        response: { 200: AdminCredentialAnswer },
      },
    },
    async ({ log }) => {
      const credential = await app.unsealed.admin.reset()
      log.info('admin credential replaced')
      return { object: 'admin_credential' as const, credential: credential.reveal() }
    },
  )
}

export default fp(admin, { name: 'admin', fastify: '5.x', encapsulate: true, dependencies: ['vault', 'auth'] })
