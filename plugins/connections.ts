import type { Socket } from 'node:net'
import fp from 'fastify-plugin'
import type { FastifyInstance } from 'fastify'
import { createConnectionCount } from '../services/connection-count.ts'
import { createNetworks } from '../services/networks.ts'
import type { SoakpOptions } from '../services/options.ts'
import { limitPipelining } from '../services/pipelining.ts'

/** Connections that are closed are logged this often, with their number: a flood must not become one of log lines. */
const LOG_MS = 10_000

/**
 * Limits open connections, in all and by address, and the requests that wait on one. A connection that is over is closed
 * before a byte of it is read.
 */
async function connections(app: FastifyInstance, { configuration }: SoakpOptions): Promise<void> {
  const { limits, trustedProxies } = configuration
  const count = createConnectionCount(limits.addressConnections, createNetworks(trustedProxies))
  const { server } = app
  let closed = 0
  let logged = 0

  function note(): void {
    closed += 1
    const now = performance.now()
    if (logged !== 0 && now - logged < LOG_MS) return
    app.log.warn({ connections: closed }, 'connections closed: there are too many, in all or from one address')
    closed = 0
    logged = now
  }

  limitPipelining(server)
  // Node closes what is over this before it makes anything of it.
  server.maxConnections = limits.connections
  server.on('drop', note)
  server.on('connection', (socket: Socket) => {
    // A client that has left already has no address.
    if (socket.remoteAddress === undefined) return
    const leave = count.add(socket.remoteAddress)
    if (leave !== undefined) {
      socket.once('close', leave)
      return
    }
    note()
    socket.on('error', () => undefined).destroy()
  })
}

export default fp(connections, { name: 'connections', fastify: '5.x' })
