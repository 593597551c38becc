import { chmod, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { Server } from 'node:http'
import { connect } from 'node:net'
import fp from 'fastify-plugin'
import type { FastifyInstance } from 'fastify'
import type { SoakpOptions } from '../fastify.config.ts'
import { controlSocketPath } from '../services/control-socket.ts'
import { SoakpError } from '../services/errors.ts'

/** Serves the same routes on a socket in the data folder, mode 0600: whoever can open it is the admin. */
async function control(app: FastifyInstance, { configuration }: SoakpOptions): Promise<void> {
  const localSockets = new WeakSet<object>()
  const path = controlSocketPath(configuration.dataDir)
  let server: Server | undefined

  app.decorate('isLocalAdmin', (request) => localSockets.has(request.raw.socket))

  app.addHook('onListen', async () => {
    if (path === undefined) {
      app.log.warn('no control socket: the path of the data folder is too long for one')
      return
    }
    server = createServer((request, response) => app.routing(request, response))
    server.on('connection', (socket) => localSockets.add(socket))
    await listen(server, path)
    await chmod(path, 0o600)
  })

  app.addHook('preClose', async () => {
    if (server === undefined || path === undefined) return
    server.close()
    server.closeIdleConnections()
    await rm(path, { force: true })
  })
}

/** Listens on a path, taking over one that a killed process left behind. Throws `SOAKP_ALREADY_RUNNING`. */
async function listen(server: Server, path: string): Promise<void> {
  if (await isAnswered(path)) {
    const message = 'Another SOAKP is running on this data folder. Stop it, or set SOAKP_DATA_DIR to another folder.'
    throw new SoakpError(500, 'SOAKP_ALREADY_RUNNING', message)
  }
  await rm(path, { force: true })
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path, () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', () => resolve(false))
  })
}

export default fp(control, { name: 'control', fastify: '5.x' })

declare module 'fastify' {
  interface FastifyInstance {
    /** Tells whether a request came through the socket in the data folder. */
    readonly isLocalAdmin: (request: FastifyRequest) => boolean
  }
}
