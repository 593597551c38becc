import { FLAGS, PREFACE, TYPES, frame, headerBlock } from '../test/support/http2-frames.ts'
import type { Random } from './random.ts'
import { rightRequest } from './requests.ts'
import type { RequestNames } from './requests.ts'
import { withWaits } from './steps.ts'
import type { Step } from './steps.ts'

const pathOf = ({ index }: RequestNames) => `/v1/slow/${index}`

/** Makes right requests of HTTP/1.1 for long answers; they come with waits, and their bodies may not come whole. */
export function slowRequests(random: Random, names: RequestNames): Step[] {
  const get = rightRequest(names, pathOf(names))
  const kept = Buffer.from(get.toString('latin1').replace('Connection: close\r\n', ''), 'latin1')
  const post = Buffer.from(`${get.toString('latin1').replace('GET', 'POST').slice(0, -2)}Content-Length: 9\r\n\r\nbody`)
  const before = Array.from({ length: random.percent(60) ? 0 : 1 + random.below(2) }, () => kept)
  const last = random.percent(80) ? [get] : random.percent(50) ? [post] : [post, Buffer.from(' ends')]
  return withWaits(random, [...before, ...last])
}

const WINDOWS = [0, 0, 0, 1, 16_384, 65_535, 1_048_576]

/** Makes the frames of a right client of HTTP/2 that takes long answers slowly, or not at all, and says so when it leaves. */
export function slowStreams(random: Random, names: RequestNames): Step[] {
  const settings = frame(TYPES.settings, 0, 0, Buffer.concat([Buffer.from([0, 4]), number(random.pick(WINDOWS))]))
  const streams = Array.from({ length: 1 + random.below(3) }, (_, index) => 2 * index + 1)
  const requests = streams.map((stream) => request(random, names, stream))
  const acts = Array.from({ length: random.below(6) }, () => random.pick(ACTS)(random, random.pick(streams)))
  // Most answers have begun by then.
  const wait = random.percent(70) ? [10 + random.below(20)] : []
  return [PREFACE, settings, ...requests, ...wait, ...withWaits(random, [...acts, GOAWAY])]
}

const GOAWAY = frame(TYPES.goaway, 0, 0, Buffer.alloc(8))

/** Of RFC 9113 section 7; 0 is no error. */
const CODES = [0, 0, 0, 1, 2, 5, 7, 8, 11, 13, 14, 2 ** 32 - 1]

const ACTS: readonly ((random: Random, stream: number) => Buffer)[] = [
  (random, stream) => frame(TYPES.reset, 0, stream, number(random.pick(CODES))),
  (random, stream) => frame(TYPES.reset, 0, stream, number(random.pick(CODES))),
  (random, stream) => frame(TYPES.window, 0, random.percent(50) ? 0 : stream, number(random.pick([1, 70_000]))),
  (random) => frame(TYPES.settings, 0, 0, Buffer.concat([Buffer.from([0, 4]), number(random.pick(WINDOWS))])),
  (random, stream) => frame(TYPES.data, random.percent(50) ? FLAGS.endStream : 0, stream, Buffer.from('body')),
  (random) => frame(TYPES.ping, 0, 0, random.bytes(8)),
  () => GOAWAY,
]

function request(random: Random, names: RequestNames, stream: number): Buffer {
  const hasBody = random.percent(20)
  const block = headerBlock([
    [':method', hasBody ? 'POST' : 'GET'],
    [':scheme', 'https'],
    [':authority', 'localhost'],
    [':path', pathOf(names)],
    ['authorization', `Bearer ${names.token}`],
  ])
  return frame(TYPES.headers, FLAGS.endHeaders | (hasBody ? 0 : FLAGS.endStream), stream, block)
}

function number(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return bytes
}
