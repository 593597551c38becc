import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import type { Answer } from './cases/case.ts'
import { headerOf, readBody, readHead } from './messages.ts'
import type { IncomingMessage, Message } from './messages.ts'
import { createProgress } from './progress.ts'
import type { Progress } from './progress.ts'
import { createWire } from './wire.ts'
import type { Wire } from './wire.ts'

/** What came in since a script was set. */
export interface Recording {
  readonly requests: readonly Message[]
  /** How much of a request's body has come. */
  readonly received: Progress
  /** Resolves when the first request is there to its end, however it ended. */
  readonly settled: Promise<void>
  /** Resolves when the connection of the first request has ended. */
  readonly left: Promise<void>
}

/** What the upstream does with a request. */
export interface Script {
  readonly answer: Answer
  /** How much of the answer's body the client has. */
  readonly delivered: Progress
  /** Takes the connection over instead of answering. */
  readonly takeOver?: (request: Message, wire: Wire) => Promise<void>
}

/** An upstream that writes down what comes, byte for byte, and answers with the very bytes of its script. */
export interface RecordingUpstream {
  /** `http://127.0.0.1:40123/v1` */
  readonly baseUrl: string
  /** Sets what happens to requests from now on. */
  readonly follow: (script: Script) => Recording
  readonly close: () => void
}

/** Starts the upstream; port 0 takes a free one. */
export async function startUpstream(port = 0, host = '127.0.0.1'): Promise<RecordingUpstream> {
  const sockets = new Set<Socket>()
  let current: { readonly script: Script; readonly note: (request: IncomingMessage, wire: Wire) => Notes } | undefined

  async function serve(wire: Wire): Promise<void> {
    for (;;) {
      const request = await readHead(wire)
      if (request === undefined || current === undefined) return
      const { script, note } = current
      const { onBytes, onEnd } = note(request, wire)
      if (script.takeOver !== undefined) {
        request.end = 'complete'
        onEnd()
        return script.takeOver(request, wire)
      }
      if (headerOf(request, 'expect') !== undefined) wire.write('HTTP/1.1 100 Continue\r\n\r\n')
      const isRead = readBody(wire, request, { onBytes }).finally(onEnd)
      const { isEarly = false } = script.answer
      if (!isEarly) await isRead
      if (isEarly || request.end === 'complete') await answer(wire, script)
      await isRead
    }
  }

  const server = createServer((socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket)).setNoDelay(true)
    void serve(createWire(socket)).finally(() => socket.destroySoon())
  })
  server.listen(port, host)
  await once(server, 'listening')

  return {
    baseUrl: `http://${host === '0.0.0.0' ? '127.0.0.1' : host}:${(server.address() as AddressInfo).port}/v1`,

    follow(script) {
      const requests: IncomingMessage[] = []
      const received = createProgress()
      const settled = Promise.withResolvers<void>()
      const left = Promise.withResolvers<void>()

      function note(request: IncomingMessage, wire: Wire): Notes {
        requests.push(request)
        void wire.ended.then(() => left.resolve())
        return { onBytes: received.note, onEnd: settled.resolve }
      }

      current = { script, note }
      return { requests, received, settled: settled.promise, left: left.promise }
    },

    close() {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}

interface Notes {
  readonly onBytes: (bytes: number) => void
  readonly onEnd: () => void
}

async function answer(wire: Wire, { answer: { pieces, bodyBytes = [], end }, delivered }: Script): Promise<void> {
  let bytes = 0
  for (const [index, piece] of pieces.entries()) {
    wire.write(piece)
    bytes += bodyBytes[index] ?? 0
    if (index < pieces.length - 1) await Promise.race([delivered.due(bytes), wire.ended])
  }
  if (end === 'close') wire.socket.end()
  // A reset throws away what waits to be sent or read, so the client has to have it.
  if (end === 'reset') wire.socket.resetAndDestroy()
}
