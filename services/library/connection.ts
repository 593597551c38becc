import type { Server } from 'node:http'
import { duplexPair } from 'node:stream'
import type { Duplex } from 'node:stream'

/**
 * Connects to an HTTP server of this process, whether or not it listens, and returns the client's side. The server gets
 * a connection like any other (Node's `connection` event takes any duplex stream), so that every byte goes through its
 * parser, and what is slow or leaves is noticed on the other side.
 */
export function connectWithin(server: Server): Duplex {
  const [client, served] = duplexPair()
  Object.assign(served, {
    remoteAddress: '127.0.0.1',
    /** As of `net.Socket`: what was written still arrives. */
    destroySoon: () => void served.end(() => served.destroy()),
  })
  // Node does this itself from 24 on.
  client.once('close', () => served.destroy())
  served.once('close', () => client.destroy())
  // Who reads or writes learns of it by `close`.
  for (const side of [client, served]) side.on('error', () => undefined)
  server.emit('connection', served)
  return client
}
