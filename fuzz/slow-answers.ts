import { extraHeaders } from './answers.ts'
import type { HostileAnswer } from './answers.ts'
import { pieces } from './mutate.ts'
import type { Random } from './random.ts'
import { withWaits } from './steps.ts'

/** Windows of HTTP/2, buffers of Node and those of the system: one of these is more than each of them takes. */
const LENGTHS = [0, 5, 20_000, 70_000, 140_000, 300_000]
const LONGEST = 6_000_000
const FILLER = Buffer.alloc(LONGEST, 'x')

const FRAMES = ['none', 'none', 'length', 'length', 'too long', 'chunks', 'chunks', 'no last chunk'] as const

/** Makes a long answer, right as far as it goes, that comes with waits and ends anywhere. */
export function slowAnswer(random: Random, key: string): HostileAnswer {
  const length = random.percent(1) ? LONGEST : random.pick(LENGTHS)
  const frame = random.pick(FRAMES)
  const isChunked = frame === 'chunks' || frame === 'no last chunk'
  const body = bodyOf(random, length, key).map((piece) => (isChunked ? chunk(piece) : piece))
  const lines = [`HTTP/1.1 ${random.pick([200, 200, 200, 206, 404, 500])} OK`, ...extraHeaders(random)]
  if (random.percent(50)) lines.push('Connection: close')
  if (frame === 'length') lines.push(`Content-Length: ${length}`)
  if (frame === 'too long') lines.push(`Content-Length: ${length + 1}`)
  if (isChunked) lines.push('Transfer-Encoding: chunked')
  const head = pieces(random, Buffer.from(`${lines.join('\r\n')}\r\n\r\n`))
  const all = [...head, ...body, ...(frame === 'chunks' ? [Buffer.from('0\r\n\r\n')] : [])]
  const written = random.percent(20) ? all.slice(0, random.below(all.length + 1)) : all
  return { steps: withWaits(random, written), end: random.pick(['open', 'closed', 'closed', 'broken']) }
}

/** In pieces; sometimes the key is in one of them, or between two. */
function bodyOf(random: Random, length: number, key: string): Buffer[] {
  const secret = Buffer.from(key)
  const size = random.pick([LONGEST, 65_536, 16_001])
  const filler = FILLER.subarray(0, length)
  let bytes = filler
  if (length > secret.length && random.percent(5)) {
    bytes = Buffer.from(filler)
    secret.copy(bytes, random.below(length - secret.length))
  }
  return Array.from({ length: Math.ceil(length / size) }, (_, at) => bytes.subarray(at * size, (at + 1) * size))
}

function chunk(piece: Buffer): Buffer {
  return Buffer.concat([Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from('\r\n')])
}
