import { FLAGS, PREFACE, TYPES, frame, headerBlock } from '../test/support/http2-frames.ts'
import type { RawHeader } from '../test/support/http2-frames.ts'
import { mutate } from './mutate.ts'
import type { Random } from './random.ts'
import type { RequestNames } from './requests.ts'

/** Makes the bytes of a connection of HTTP/2: requests and other frames, some of them wrong, some bytes changed. */
export function hostileConnection(random: Random, names: RequestNames): Buffer {
  const count = 1 + random.below(8)
  const frames = Array.from({ length: count }, (_, index) => {
    const made = oneFrame(random, names, 2 * index + 1)
    return random.percent(40) ? mutate(random, made) : made
  })
  return Buffer.concat([PREFACE, ...frames])
}

function oneFrame(random: Random, names: RequestNames, stream: number): Buffer {
  if (random.percent(60)) return oneRequest(random, names, stream)
  const type = random.below(12)
  const sizes: Partial<Record<number, number>> = { 2: 5, 3: 4, 4: 6 * random.below(4), 6: 8, 7: 8, 8: 4 }
  const payload = random.bytes(random.percent(80) ? (sizes[type] ?? random.below(60)) : random.below(60))
  const length = random.percent(97) ? payload.length : random.below(0xffffff)
  return frame(type, random.below(256), random.percent(60) ? random.below(20) : 0, payload, length)
}

function oneRequest(random: Random, { index, token }: RequestNames, stream: number): Buffer {
  const headers: RawHeader[] = [
    [':method', random.pick(['GET', 'POST', 'HEAD', 'CONNECT', 'GET /'])],
    [':scheme', 'https'],
    [':authority', 'localhost'],
    [':path', random.pick([`/v1/case/${index}`, `/v1/case/${index}`, '/soakp/health', '/soakp/me', '/v1/../x', '*'])],
    ['authorization', `Bearer ${token}`],
  ]
  if (random.percent(30)) headers.splice(random.below(headers.length), 1)
  if (random.percent(40)) headers.splice(random.below(headers.length + 1), 0, random.pick(EXTRA))
  const block = headerBlock(headers)
  const damaged = random.percent(10) ? mutate(random, block) : block
  const hasBody = random.percent(50)
  const head = frame(TYPES.headers, FLAGS.endHeaders | (hasBody ? 0 : FLAGS.endStream), stream, damaged)
  if (!hasBody) return head
  return Buffer.concat([head, frame(TYPES.data, random.percent(90) ? FLAGS.endStream : 0, stream, Buffer.from('body'))])
}

const EXTRA: readonly RawHeader[] = [
  ['content-length', '4'],
  ['content-length', '5'],
  ['transfer-encoding', 'chunked'],
  ['connection', 'close'],
  ['host', 'evil.example'],
  ['expect', '100-continue'],
  ['te', 'trailers'],
  ['upgrade', 'websocket'],
  [':protocol', 'websocket'],
  ['x-value', 'a\r\nb'],
  ['x-value', 'a\0b'],
  ['X-Capital', '1'],
  ['', ''],
  ['cookie', 'x'.repeat(2_000)],
  ['authorization', 'Bearer x'],
]
