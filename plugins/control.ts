import { createServer } from 'node:http'
import fp from 'fastify-plugin'
import type { FastifyInstance } from 'fastify'
import { ADDRESS_HEADER, controlSocketPath, listenAlone } from '../services/control-socket.ts'
import { SoakpError } from '../services/errors.ts'
import { listeningAddress } from '../services/listening-address.ts'
import { describeError } from '../services/log-fields.ts'
import type { SoakpOptions } from '../services/options.ts'

/** The path may be too long for one, or the file system or operating system has none. */
const NO_SOCKET =
  'no control socket in the data folder: the command works on the folder itself, and what it revokes ends at the next call, not within a running stream'

/** Serves the same routes on a socket in the data folder, mode 0600: whoever can open it is the admin. */
async function control(app: FastifyInstance, { configuration }: SoakpOptions): Promise<void> {
  const path = controlSocketPath(configuration.dataDir)
  const localSockets = new WeakSet<object>()
  let claim: Promise<void> | undefined
  let closed: Promise<void> | undefined
  let isClosing = false

  const server = createServer((request, response) => {
    const address = listeningAddress(app.server.address(), configuration)
    if (address !== undefined) response.setHeader(ADDRESS_HEADER, address)
    // So that no idle connection is waited for when SOAKP stops.
    response.shouldKeepAlive = false
    app.routing(request, response)
  })
  server.on('connection', (socket) => localSockets.add(socket))

  async function openSocket(): Promise<void> {
    if (isClosing) return
    if (path === undefined) {
      app.log.warn(NO_SOCKET)
      return
    }
    try {
      await listenAlone(server, path)
    } catch (error) {
      if (error instanceof SoakpError) throw error
      // Some network and container file systems have no sockets; the command then works on the folder itself.
      app.log.warn({ error: describeError(error) }, NO_SOCKET)
    }
  }

  app.decorate('isLocalAdmin', (request) => localSockets.has(request.raw.socket))
  app.decorate('claimDataFolder', () => (claim ??= openSocket()))

  // An error here reaches nobody who called `listen`: `soakp serve` claims the folder before.
  app.addHook('onListen', async () => {
    await app.claimDataFolder().catch((error: unknown) => {
      app.log.warn({ error: describeError(error) }, 'no control socket')
    })
  })

  app.addHook('preClose', async () => {
    isClosing = true
    await claim?.catch(() => undefined)
    if (!server.listening) return
    const deadline = setTimeout(() => server.closeAllConnections(), configuration.drainMs)
    closed = new Promise((resolve) => {
      server.close(() => {
        clearTimeout(deadline)
        resolve()
      })
    })
  })
  app.addHook('onClose', async () => closed)
}

export default fp(control, { name: 'control', fastify: '5.x' })

declare module 'fastify' {
  interface FastifyInstance {
    /** Tells whether a request came through the socket in the data folder. */
    readonly isLocalAdmin: (request: FastifyRequest) => boolean
    /**
     * Opens the socket in the data folder, once. Listening does it, too; who calls it before learns of
     * `SOAKP_ALREADY_RUNNING`.
     */
    readonly claimDataFolder: () => Promise<void>
  }
}
