import type { Socket } from 'node:net'
import { Server as SecureServer } from 'node:tls'
import type { TLSSocket } from 'node:tls'
import fp from 'fastify-plugin'
import type { FastifyInstance } from 'fastify'
import type { SoakpOptions } from '../services/options.ts'

/** Connections that become idle while the last calls end are looked for this often. */
const IDLE_CHECK_MS = 50

/** Lets running calls end when SOAKP closes, for a stated time, and then ends them. */
async function drain(app: FastifyInstance, { configuration }: SoakpOptions): Promise<void> {
  const { server } = app
  const sockets = new Set<Socket>()
  // HTTP/1 connections that are through their handshake, and their requests under way. Node knows as idle only those
  // that have had a request, and where HTTP/2 is spoken too, none. Sessions of HTTP/2 are closed by Fastify.
  const busy = new Map<Socket, number>()

  server.on('connection', (socket: Socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  server.on(server instanceof SecureServer ? 'secureConnection' : 'connection', (socket: Socket | TLSSocket) => {
    if ('alpnProtocol' in socket && socket.alpnProtocol === 'h2') return
    busy.set(socket, 0)
    socket.once('close', () => busy.delete(socket))
  })

  app.addHook('onRequest', (request, reply, done) => {
    const { socket } = request.raw
    count(busy, socket, 1)
    reply.raw.once('close', () => count(busy, socket, -1))
    done()
  })

  app.addHook('preClose', async () => {
    const idle = setInterval(() => {
      for (const [socket, requests] of busy) if (requests === 0) socket.destroy()
    }, IDLE_CHECK_MS)
    const deadline = setTimeout(() => {
      for (const socket of sockets) socket.destroy()
    }, configuration.drainMs)
    server.once('close', () => {
      clearInterval(idle)
      clearTimeout(deadline)
    })
    if (!server.listening) server.emit('close')
  })
}

function count(busy: Map<Socket, number>, socket: Socket, change: number): void {
  const requests = busy.get(socket)
  if (requests !== undefined) busy.set(socket, requests + change)
}

export default fp(drain, { name: 'drain', fastify: '5.x' })
