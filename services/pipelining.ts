import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'

/** Clients that send before they are answered send a few; thousands of tiny requests come in one read. */
const MOST_WAITING = 100

/**
 * Ends an HTTP/1 connection when more requests wait on it for their answers than any client means. Node itself looks only
 * at answers that wait to be taken: 25 MB of tiny requests would be all that is done for 20 s, and take 1 GiB. Called
 * when the server has the listener that answers, and no other yet.
 */
export function limitPipelining(server: Server): void {
  const waiting = new WeakMap<Socket, number>()

  function isTaken({ socket, httpVersionMajor }: IncomingMessage, response: ServerResponse): boolean {
    if (httpVersionMajor !== 1) return true
    const before = waiting.get(socket) ?? 0
    if (before >= MOST_WAITING) socket.destroy()
    // What was read together still comes here, one after the other.
    if (socket.destroyed) return false
    waiting.set(socket, before + 1)
    response.once('close', () => waiting.set(socket, (waiting.get(socket) ?? 1) - 1))
    return true
  }

  const listeners = server.listeners('request') as RequestListener[]
  server.removeAllListeners('request')
  server.on('request', (request, response) => {
    if (isTaken(request, response)) for (const listener of listeners) listener.call(server, request, response)
  })
}
