import fp from 'fastify-plugin'
import type { FastifyInstance } from 'fastify'
import type { SoakpOptions } from '../fastify.config.ts'

/** Node closes idle connections once; those that become idle while the last calls end would be waited for. */
const IDLE_CHECK_MS = 50

/** Lets running calls end when SOAKP closes, for a stated time, and then ends them. */
async function drain(app: FastifyInstance, { configuration }: SoakpOptions): Promise<void> {
  app.addHook('preClose', async () => {
    const { server } = app
    const idle = setInterval(() => server.closeIdleConnections(), IDLE_CHECK_MS)
    const deadline = setTimeout(() => server.closeAllConnections(), configuration.drainMs)
    server.once('close', () => {
      clearInterval(idle)
      clearTimeout(deadline)
    })
    if (!server.listening) server.emit('close')
  })
}

export default fp(drain, { name: 'drain', fastify: '5.x' })
