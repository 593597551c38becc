import { once } from 'node:events'
import { connect } from 'node:tls'
import type { TLSSocket } from 'node:tls'

/** Types of frames (RFC 9113 section 6). */
export const TYPES = {
  data: 0,
  headers: 1,
  priority: 2,
  reset: 3,
  settings: 4,
  push: 5,
  ping: 6,
  goaway: 7,
  window: 8,
  continuation: 9,
} as const

/** Flags of HEADERS and DATA; ACK has the bit of END_STREAM. */
export const FLAGS = { endStream: 1, endHeaders: 4, padded: 8, priority: 32 } as const

/** What a client sends first, with SETTINGS that turn the peer's header table and push off. */
export const PREFACE = Buffer.concat([
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  frame(TYPES.settings, 0, 0, Buffer.from([0, 1, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0])),
])

/** Writes a frame; its length may be a lie. */
export function frame(
  type: number,
  flags: number,
  stream: number,
  payload: Buffer = Buffer.alloc(0),
  length = payload.length,
): Buffer {
  const head = Buffer.alloc(9)
  head.writeUIntBE(length & 0xffffff, 0, 3)
  head[3] = type
  head[4] = flags
  head.writeUInt32BE(stream >>> 0, 5)
  return Buffer.concat([head, payload])
}

/** A header as it is written, which need not be allowed. Latin-1. */
export type RawHeader = readonly [name: string, value: string]

/** Writes headers as literals that are not indexed and not compressed (RFC 7541 section 6.2.2). */
export function headerBlock(headers: readonly RawHeader[]): Buffer {
  return Buffer.concat(headers.flatMap(([name, value]) => [Buffer.from([0]), literal(name), literal(value)]))
}

function literal(text: string): Buffer {
  const bytes = Buffer.from(text, 'latin1')
  const head: number[] = []
  if (bytes.length < 127) head.push(bytes.length)
  else {
    head.push(127)
    let rest = bytes.length - 127
    for (; rest >= 128; rest = Math.floor(rest / 128)) head.push((rest % 128) + 128)
    head.push(rest)
  }
  return Buffer.concat([Buffer.from(head), bytes])
}

/** Writes a request: HEADERS and, where there is a body, DATA. */
export function request(stream: number, headers: readonly RawHeader[], body?: string): Buffer {
  const ends = body === undefined ? FLAGS.endStream : 0
  const head = frame(TYPES.headers, FLAGS.endHeaders | ends, stream, headerBlock(headers))
  if (body === undefined) return head
  return Buffer.concat([head, frame(TYPES.data, FLAGS.endStream, stream, Buffer.from(body, 'latin1'))])
}

/** A frame that came. */
export interface Frame {
  readonly type: number
  readonly flags: number
  readonly stream: number
  readonly payload: Buffer
}

/** Reads the whole frames out of bytes. */
export function readFrames(bytes: Buffer): Frame[] {
  const frames: Frame[] = []
  for (let at = 0; at + 9 <= bytes.length;) {
    const length = bytes.readUIntBE(at, 3)
    if (at + 9 + length > bytes.length) break
    const payload = bytes.subarray(at + 9, at + 9 + length)
    frames.push({ type: bytes[at + 3] ?? 0, flags: bytes[at + 4] ?? 0, stream: bytes.readUInt32BE(at + 5), payload })
    at += 9 + length
  }
  return frames
}

/** Opens a connection of HTTP/2 on which nothing was said yet. */
export async function connectHttp2(port: number, ca: string): Promise<TLSSocket> {
  const socket = connect({ port, host: '127.0.0.1', ca, servername: 'localhost', ALPNProtocols: ['h2'] })
  socket.on('error', () => undefined)
  await once(socket, 'secureConnect')
  return socket
}
