import { ServerResponse } from 'node:http'
import type { IncomingMessage, RequestListener, Server } from 'node:http'
import type { Socket } from 'node:net'
import { Server as SecureServer } from 'node:tls'
import { isWebSocketRequest } from './socket-handshake.ts'

/** The connection on which a request to become a WebSocket came, and what came after it. */
export interface Upgrade {
  readonly connection: Socket
  readonly head: Buffer
}

/** Requests that want to become WebSockets. */
export interface Upgrades {
  /** Returns the upgrade that a request asks for. */
  readonly find: (request: IncomingMessage) => Upgrade | undefined
}

/**
 * Hands requests to become WebSockets to `route` like all others, with a response to refuse them on, so that one set of
 * checks stands before both. Requests for other upgrades are ordinary ones. Where somebody else listens to `upgrade`
 * too, only those that are `isOurs` are taken.
 */
export function listenToUpgrades(server: Server, route: RequestListener, isOurs: (path: string) => boolean): Upgrades {
  const upgrades = new WeakMap<IncomingMessage, Upgrade>()
  const deciding = server as Server & { shouldUpgradeCallback?: (request: IncomingMessage) => boolean }
  const { shouldUpgradeCallback: decideForeign } = deciding

  function isForeign(request: IncomingMessage): boolean {
    return server.listenerCount('upgrade') > 1 && !isOurs(request.url ?? '')
  }

  server.on('upgrade', (request, connection: Socket, head) => {
    if (isForeign(request)) return
    connection.on('error', () => connection.destroy())
    const response = new ServerResponse(request)
    response.shouldKeepAlive = false
    try {
      response.assignSocket(connection)
    } catch {
      // An earlier request on this connection waits for its answer; after an upgrade nobody could write it.
      connection.destroy()
      return
    }
    if (!isWebSocketRequest(request)) {
      response.detachSocket(connection)
      ignoreUpgrade(server, request, connection, head)
      return
    }
    response.once('finish', () => connection.destroySoon())
    upgrades.set(request, { connection, head })
    route(request, response)
  })
  // Since Node 22.21 and 24.9; before, all upgrades come to the listener.
  deciding.shouldUpgradeCallback = (request) =>
    isForeign(request) ? (decideForeign?.call(server, request) ?? true) : isWebSocketRequest(request)

  return { find: (request) => upgrades.get(request) }
}

/**
 * Lets the server read a request again as if it had asked for nothing, which is what ignoring an upgrade means (RFC 9110
 * section 7.8). Clients of curl and Java ask for `h2c` with ordinary requests.
 */
function ignoreUpgrade(server: Server, request: IncomingMessage, connection: Socket, head: Buffer): void {
  const { method, url, httpVersion, rawHeaders } = request
  const lines = [`${method} ${url} HTTP/${httpVersion}`]
  for (let index = 0; index < rawHeaders.length; index += 2) {
    if (rawHeaders[index]?.toLowerCase() !== 'upgrade') lines.push(`${rawHeaders[index]}: ${rawHeaders[index + 1]}`)
  }
  connection.unshift(Buffer.concat([Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1'), head]))
  server.emit(server instanceof SecureServer ? 'secureConnection' : 'connection', connection)
}
