import type { Random } from './random.ts'

/** Pieces that mean something to a parser. */
const PIECES = [
  '\r\n',
  '\n',
  '\r',
  '\0',
  ' ',
  '\t',
  '\x0b',
  ':',
  ';',
  ',',
  '%',
  '%2e%2e/',
  '%0d%0a',
  '/../',
  '\\',
  '//',
  '?',
  '#',
  '*',
  'http://evil.example/',
  '@',
  '\xff',
  '\xc0\xaf',
  '\x80',
  'HTTP/1.1',
  'HTTP/1.0',
  'HTTP/2.0',
  'Host: evil.example\r\n',
  'Content-Length: 5\r\n',
  'Content-Length: -1\r\n',
  'Content-Length: 18446744073709551615\r\n',
  'Transfer-Encoding: chunked\r\n',
  'Transfer-Encoding: gzip, chunked\r\n',
  'Content-Encoding: gzip\r\n',
  'Connection: close\r\n',
  'Connection: upgrade\r\nUpgrade: websocket\r\n',
  'Expect: 100-continue\r\n',
  'Trailer: X-T\r\n',
  '__proto__: x\r\n',
  '0\r\n\r\n',
  'ffffffffffffffff\r\n',
  '\r\n\r\n',
  '0',
  '9999999999999999999',
  '-1',
  '{"a":',
  '[[[[[[[[',
  '\u{feff}',
]

/** Changes bytes in one to four places. */
export function mutate(random: Random, bytes: Buffer): Buffer {
  let result = bytes
  for (let times = 1 + random.below(4); times > 0; times -= 1) result = random.pick(CHANGES)(random, result)
  return result
}

type Change = (random: Random, bytes: Buffer) => Buffer

const cut = (bytes: Buffer, from: number, to: number, between: Buffer = Buffer.alloc(0)) =>
  Buffer.concat([bytes.subarray(0, from), between, bytes.subarray(to)])

function range(random: Random, bytes: Buffer): [from: number, to: number] {
  const from = random.below(bytes.length + 1)
  return [from, Math.min(bytes.length, from + random.below(24))]
}

const CHANGES: readonly Change[] = [
  function flip(random, bytes) {
    const changed = Buffer.from(bytes)
    const at = random.below(bytes.length + 1)
    if (at < changed.length) changed[at] = (changed[at] ?? 0) ^ (1 << random.below(8))
    return changed
  },
  function remove(random, bytes) {
    return cut(bytes, ...range(random, bytes))
  },
  function repeat(random, bytes) {
    const [from, to] = range(random, bytes)
    const times = random.percent(5) ? 500 : 1 + random.below(3)
    return cut(bytes, to, to, Buffer.concat(Array.from({ length: times }, () => bytes.subarray(from, to))))
  },
  function insertPiece(random, bytes) {
    const [from, to] = range(random, bytes)
    const piece = Buffer.from(random.pick(PIECES), 'latin1')
    return cut(bytes, from, random.percent(50) ? to : from, piece)
  },
  function insertPieceAtLine(random, bytes) {
    const at = bytes.indexOf('\r\n', random.below(bytes.length + 1))
    return at === -1 ? bytes : cut(bytes, at + 2, at + 2, Buffer.from(random.pick(PIECES), 'latin1'))
  },
  function insertBytes(random, bytes) {
    const [from] = range(random, bytes)
    return cut(bytes, from, from, random.bytes(1 + random.below(8)))
  },
  function truncate(random, bytes) {
    return bytes.subarray(0, random.below(bytes.length + 1))
  },
  function move(random, bytes) {
    const [from, to] = range(random, bytes)
    const rest = cut(bytes, from, to)
    const at = random.below(rest.length + 1)
    return cut(rest, at, at, bytes.subarray(from, to))
  },
]

/** Cuts bytes into pieces that are written one by one. */
export function pieces(random: Random, bytes: Buffer): Buffer[] {
  const result: Buffer[] = []
  for (let at = 0; at < bytes.length;) {
    const length = random.percent(50) ? bytes.length : 1 + random.below(40)
    result.push(bytes.subarray(at, at + length))
    at += length
    if (result.length > 20) return [...result, bytes.subarray(at)]
  }
  return result
}
