import { createHash } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { hostileAnswer } from './answers.ts'
import { hostileFrames } from './frames.ts'
import { pieces } from './mutate.ts'
import { createRandom } from './random.ts'
import { slowAnswer } from './slow-answers.ts'
import { take, withWaits } from './steps.ts'

/** The upstream of a fuzz: it answers well at `/v1/well`, and in hostile ways at paths that name a case. */
export interface FuzzUpstream {
  readonly url: string
  /** Requests that no proxy may write, with the first of them. */
  readonly wrong: () => { readonly count: number; readonly first: string | undefined }
  readonly close: () => void
}

const LINE = /^[!#$%&'*+.^_`|~A-Za-z\d-]+ \/v1(?:[/?][\x21-\xff]*)? HTTP\/1\.1$/
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

/** Starts it; it shares no code with the proxy and reads only what a right client writes. */
export async function startFuzzUpstream(seed: number, key: string): Promise<FuzzUpstream> {
  const sockets = new Set<Socket>()
  let count = 0
  let first: string | undefined

  function check(head: string): void {
    const credentials = head.match(/^authorization: .*$/gim) ?? []
    if (LINE.test(head.split('\r\n', 1)[0] ?? '') && credentials.join('').endsWith(` Bearer ${key}`)) return
    count += 1
    first ??= head
  }

  async function answer(socket: Socket, head: string): Promise<void> {
    const [, kind, digits] = /^\S+ \/v1\/(well|case|slow|socket)\/(\d+)/.exec(head) ?? []
    if (kind === 'well') {
      socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${digits?.length}\r\n\r\n${digits}`)
      return
    }
    if (kind === undefined) {
      socket.write(OK)
      return
    }
    const random = createRandom(seed ^ 0x5bd1e995, Number(digits))
    if (kind === 'socket') {
      const frames = random.percent(70) ? hostileFrames(random, false, key) : Buffer.alloc(0)
      socket.write(switching(head))
      const written = pieces(random, frames)
      await take(socket, random.percent(30) ? withWaits(random, written) : written)
      if (random.percent(30)) socket.end()
      return
    }
    const { steps, end } = (kind === 'slow' ? slowAnswer : hostileAnswer)(random, key)
    await take(socket, steps)
    if (end === 'closed') socket.end()
    if (end === 'broken') socket.resetAndDestroy()
  }

  const server = createServer((socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket)).on('error', () => undefined)
    let rest = Buffer.alloc(0)
    let isSocket = false
    socket.on('data', (chunk: Buffer) => {
      if (isSocket) return
      rest = Buffer.concat([rest, chunk])
      for (;;) {
        const headEnd = rest.indexOf('\r\n\r\n')
        if (headEnd === -1) return
        const head = rest.subarray(0, headEnd).toString('latin1')
        const bodyEnd = endOfBody(rest, headEnd + 4, head)
        if (bodyEnd === undefined) return
        rest = rest.subarray(bodyEnd)
        check(head)
        isSocket = /^upgrade: websocket/im.test(head)
        void answer(socket, head)
      }
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    wrong: () => ({ count, first }),
    close() {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}

/** Returns where a body ends that is framed as it should be, or undefined when it is not here yet. */
function endOfBody(bytes: Buffer, start: number, head: string): number | undefined {
  const [, length] = /^content-length: (\d+)/im.exec(head) ?? []
  if (length !== undefined) return start + Number(length) <= bytes.length ? start + Number(length) : undefined
  if (!/^transfer-encoding:/im.test(head)) return start
  for (let at = start; ;) {
    const lineEnd = bytes.indexOf('\r\n', at)
    if (lineEnd === -1) return undefined
    const size = Number.parseInt(bytes.toString('latin1', at, lineEnd), 16)
    at = lineEnd + 2 + size + 2
    if (at > bytes.length) return undefined
    if (size === 0) return at
  }
}

function switching(head: string): string {
  const [, key = ''] = /^sec-websocket-key: (.*)$/im.exec(head) ?? []
  const accept = createHash('sha1').update(`${key.trim()}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
  return `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`
}
