import { Server as SecureServer } from 'node:https'
import type { Socket } from 'node:net'
import fp from 'fastify-plugin'
import type { FastifyInstance } from 'fastify'
import type { SoakpOptions } from '../services/options.ts'

/** Node closes idle connections once; those that become idle while the last calls end would be waited for. */
const IDLE_CHECK_MS = 50

/** Lets running calls end when SOAKP closes, for a stated time, and then ends them. */
async function drain(app: FastifyInstance, { configuration }: SoakpOptions): Promise<void> {
  const { server } = app
  // Node counts a connection as idle only after its first request, and knows none that is still in its handshake.
  const sockets = remember(server, 'connection')
  const unused = server instanceof SecureServer ? remember(server, 'secureConnection') : remember(server, 'connection')
  app.addHook('onRequest', (request, _reply, done) => {
    unused.delete(request.raw.socket)
    done()
  })

  app.addHook('preClose', async () => {
    const idle = setInterval(() => {
      server.closeIdleConnections()
      destroyAll(unused)
    }, IDLE_CHECK_MS)
    const deadline = setTimeout(() => destroyAll(sockets), configuration.drainMs)
    server.once('close', () => {
      clearInterval(idle)
      clearTimeout(deadline)
    })
    if (!server.listening) server.emit('close')
  })
}

/** Knows the open connections that were announced by an event. */
function remember(server: FastifyInstance['server'], event: 'connection' | 'secureConnection'): Set<Socket> {
  const sockets = new Set<Socket>()
  server.on(event, (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  return sockets
}

function destroyAll(sockets: ReadonlySet<Socket>): void {
  for (const socket of sockets) socket.destroy()
}

export default fp(drain, { name: 'drain', fastify: '5.x' })
