import type { IncomingMessage } from 'node:http'
import { WebSocketServer } from 'ws'
import type { WebSocket } from 'ws'
import { responseHeaders } from './headers.ts'
import { socketOptions } from './socket-options.ts'
import type { UpstreamSocket } from './upstream-socket.ts'
import type { Upgrade } from './upgrades.ts'

/** Gives clients their 101. */
export interface SocketServer {
  /**
   * Answers a client as its upstream has answered: with the same subprotocol and headers. Returns its WebSocket, paused.
   * Throws when the client has left.
   */
  readonly accept: (
    request: IncomingMessage,
    upgrade: Upgrade,
    upstream: Pick<UpstreamSocket, 'protocol' | 'headers'>,
  ) => WebSocket
}

/** Creates a server of WebSockets whose messages may be of `mostBytes`. */
export function createSocketServer(mostBytes: number): SocketServer {
  const answers = new WeakMap<IncomingMessage, Pick<UpstreamSocket, 'protocol' | 'headers'>>()
  const server = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    ...socketOptions(mostBytes),
    handleProtocols: (_offered, request) => answers.get(request)?.protocol ?? false,
  })
  server.on('headers', (lines, request) => lines.push(...headerLines(answers.get(request)?.headers ?? [])))

  return {
    accept(request, { connection, head }, upstream) {
      let accepted: WebSocket | undefined
      answers.set(request, upstream)
      server.handleUpgrade(request, connection, head, (webSocket) => {
        webSocket.pause()
        accepted = webSocket
      })
      if (accepted === undefined) throw new Error('the client has left')
      return accepted
    },
  }
}

/** Makes the lines of those headers that go on. `ws` writes its own, and writes UTF-8 where Node has read Latin-1. */
function headerLines(raw: readonly string[]): string[] {
  const headers = responseHeaders(raw.map((each) => Buffer.from(each, 'latin1')))
  const lines: string[] = []
  for (let index = 0; index < headers.length; index += 2) {
    const line = `${headers[index]}: ${headers[index + 1]}`
    if (!/^(?:sec-websocket-|content-length:)/i.test(line) && /^[\t -~]*$/.test(line)) lines.push(line)
  }
  return lines
}
