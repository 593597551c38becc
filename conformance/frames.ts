import { randomBytes } from 'node:crypto'
import type { Wire } from './wire.ts'

/** Opcodes of RFC 6455 section 5.2. */
export const OPCODES = { more: 0, text: 1, binary: 2, close: 8, ping: 9, pong: 10 } as const

/** A frame of a WebSocket. */
export interface Frame {
  readonly type: keyof typeof OPCODES
  /** Bytes, one character each. */
  readonly data: string
  /** False where a fragment follows. */
  readonly isLast: boolean
}

/** Creates a frame that is a message of its own. */
export function frame(type: Frame['type'], data: string, isLast = true): Frame {
  return { type, data, isLast }
}

/** Creates a close frame with a code and a reason, or with neither. */
export function closeFrame(code?: number, reason = ''): Frame {
  return frame('close', code === undefined ? '' : String.fromCharCode(code >> 8, code & 255) + reason)
}

/** Writes a frame; what a client sends is masked (RFC 6455 section 5.3). */
export function writeFrame(wire: Wire, { type, data, isLast }: Frame, isMasked: boolean): void {
  const { length } = data
  const head = [(isLast ? 128 : 0) | OPCODES[type]]
  const mask = isMasked ? 128 : 0
  if (length < 126) head.push(mask | length)
  else if (length < 65_536) head.push(mask | 126, length >> 8, length & 255)
  else head.push(mask | 127, 0, 0, 0, 0, length >>> 24, (length >> 16) & 255, (length >> 8) & 255, length & 255)
  const bytes = Buffer.from(data, 'latin1')
  const key = isMasked ? randomBytes(4) : Buffer.alloc(0)
  wire.write(Buffer.concat([Buffer.from(head), key, applied(key, bytes)]).toString('latin1'))
}

/** What came as a frame, and whether it was masked. */
export interface ReadFrame extends Frame {
  readonly isMasked: boolean
}

/** Reads the next frame; undefined when the connection ends first. Throws where a frame is none. */
export async function readFrame(wire: Wire): Promise<ReadFrame | undefined> {
  const head = await readExactly(wire, 2)
  if (head === undefined) return undefined
  const [first, second] = [head.charCodeAt(0), head.charCodeAt(1)]
  const type = Object.entries(OPCODES).find(([, opcode]) => opcode === (first & 15))?.[0]
  if (type === undefined || (first & 112) !== 0) throw new Error(`a frame begins with the byte ${first}`)
  const isMasked = second >= 128
  let length = second & 127
  if (length >= 126) length = numberOf((await readExactly(wire, length === 126 ? 2 : 8)) ?? '')
  const key = Buffer.from((await readExactly(wire, isMasked ? 4 : 0)) ?? '', 'latin1')
  const data = await readExactly(wire, length)
  if (data === undefined) return undefined
  const plain = applied(key, Buffer.from(data, 'latin1')).toString('latin1')
  return { type: type as Frame['type'], data: plain, isLast: first >= 128, isMasked }
}

function applied(key: Buffer, bytes: Buffer): Buffer {
  return key.length === 0 ? bytes : (bytes.map((byte, index) => byte ^ (key[index % 4] ?? 0)) as Buffer)
}

function numberOf(text: string): number {
  return Buffer.from(text, 'latin1').reduce((number, byte) => number * 256 + byte, 0)
}

async function readExactly(wire: Wire, bytes: number): Promise<string | undefined> {
  let text = ''
  while (text.length < bytes) {
    const piece = await wire.read(bytes - text.length)
    if (piece === '') return undefined
    text += piece
  }
  return text
}
