import { mutate } from './mutate.ts'
import type { Random } from './random.ts'

/** Makes frames of a WebSocket, some of them wrong, then changes some of their bytes; a client's are masked. */
export function hostileFrames(random: Random, isMasked: boolean, key: string): Buffer {
  const count = 1 + random.below(6)
  const frames = Buffer.concat(Array.from({ length: count }, () => oneFrame(random, isMasked, key)))
  return random.percent(60) ? mutate(random, frames) : frames
}

const OPCODES = [0, 1, 1, 1, 2, 2, 3, 7, 8, 9, 10, 11, 15]
const CODES = [0, 999, 1000, 1001, 1005, 1006, 1008, 1011, 1015, 3000, 4999, 5000, 65_535]

function oneFrame(random: Random, isMasked: boolean, key: string): Buffer {
  const opcode = random.pick(OPCODES)
  const bits = random.percent(80) ? 8 : random.below(16)
  const payload = payloadOf(random, opcode, key)
  const isWrong = random.percent(5)
  return frame(payload, { opcode, bits, isMasked: isMasked !== isWrong, length: lengthOf(random, payload.length) })
}

function payloadOf(random: Random, opcode: number, key: string): Buffer {
  const text = random.pick(['', 'a', '{"type":"response.create"}', key, `x${key}y`, key.slice(0, -1), 'é'.repeat(70)])
  const payload = random.percent(10) ? random.bytes(random.below(300)) : Buffer.from(text)
  if (opcode !== 8) return payload
  const code = Buffer.alloc(2)
  code.writeUInt16BE(random.pick(CODES))
  return random.percent(10) ? code.subarray(0, random.below(2)) : Buffer.concat([code, payload.subarray(0, 130)])
}

/** Mostly the truth. */
function lengthOf(random: Random, length: number): number {
  return random.percent(95) ? length : random.pick([0, length + 1, 125, 126, 65_536, 2 ** 31, 2 ** 52])
}

interface FrameOptions {
  readonly opcode: number
  readonly bits: number
  readonly isMasked: boolean
  readonly length: number
}

function frame(payload: Buffer, { opcode, bits, isMasked, length }: FrameOptions): Buffer {
  const head = Buffer.alloc(length < 126 ? 2 : length < 65_536 ? 4 : 10)
  head[0] = (bits << 4) | opcode
  head[1] = (isMasked ? 0x80 : 0) | (head.length === 2 ? length : head.length === 4 ? 126 : 127)
  if (head.length === 4) head.writeUInt16BE(length, 2)
  if (head.length === 10) head.writeBigUInt64BE(BigInt(length), 2)
  return Buffer.concat([head, Buffer.alloc(isMasked ? 4 : 0), payload])
}
