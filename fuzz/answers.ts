import { mutate, pieces } from './mutate.ts'
import type { Random } from './random.ts'
import type { Step } from './steps.ts'

/** What an upstream does with a request: writes pieces, and then leaves the connection open, ends or breaks it. */
export interface HostileAnswer {
  readonly steps: readonly Step[]
  readonly end: 'open' | 'closed' | 'broken'
}

const chunk = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`
const answer = (head: string, body = '') => `HTTP/1.1 ${head}\r\n\r\n${body}`

/** Answers before they are changed; `KEY` stands for the upstream key. */
const ANSWERS: readonly string[] = [
  answer('200 OK\r\nContent-Length: 2', 'ok'),
  answer('200 OK\r\nContent-Type: application/json\r\nContent-Length: 11', '{"a":"KEY"}'),
  answer('200 OK\r\nTransfer-Encoding: chunked', `${chunk('part')}${chunk('KEY')}0\r\n\r\n`),
  answer('200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-T', `${chunk('part')}0\r\nX-T: KEY\r\n\r\n`),
  answer('200 OK\r\nContent-Length: 2\r\nTrailer: X-T', 'ok'),
  answer('200 OK\r\nContent-Type: text/event-stream', 'data: 1\n\ndata: KEY\n\ndata: [DONE]\n\n'),
  answer('200 KEY\r\nX-Key: KEY\r\nContent-Length: 0'),
  answer('200 OK\r\nX-Key: Bearer KEY\r\nContent-Length: 0'),
  answer('401 Unauthorized\r\nContent-Length: 3', 'KEY'),
  answer('403 Forbidden\r\nContent-Length: 3', 'KEY'),
  answer('429 Too Many\r\nRetry-After: 1\r\nContent-Length: 2', 'no'),
  answer('500 No\r\nContent-Encoding: gzip\r\nContent-Length: 2', 'no'),
  answer('500 No\r\nContent-Type: text/event-stream', 'data: KEY\n\n'),
  answer('204 No Content\r\nContent-Length: 5'),
  answer('304 Not Modified\r\nContent-Length: 5'),
  answer('206 Partial\r\nContent-Range: bytes 0-1/9\r\nContent-Length: 2', 'ok'),
  answer('302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0'),
  answer('103 Hints\r\nLink: KEY') + answer('200 OK\r\nContent-Length: 2', 'ok'),
  answer('100 Continue').repeat(30) + answer('200 OK\r\nContent-Length: 2', 'ok'),
  answer('101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade', 'KEY'),
  answer('999 No\r\nContent-Length: 2', 'ok'),
  answer('200 OK\r\nContent-Length: 2', 'ok') + answer('200 OK\r\nContent-Length: 3', 'KEY'),
  answer('200 OK\r\nConnection: close, content-length, x-a\r\nX-A: 1\r\nContent-Length: 2', 'ok'),
  answer(`200 OK\r\n${'Set-Cookie: KEY\r\n'.repeat(40)}Content-Length: 2`, 'ok'),
  answer('200 OK\r\nContent-Length: 999', 'part'),
  'SSH-2.0-OpenSSH_9\r\n',
  '',
]

/** Makes the answer of one case. */
export function hostileAnswer(random: Random, key: string): HostileAnswer {
  const text = random.pick(ANSWERS)
  const lines = random.percent(25) ? extraHeaders(random).map((line) => `\r\n${line}`) : []
  const chosen = Buffer.from(text.replace(/(?=\r\n)/, lines.join('')), 'latin1')
  const changed = random.percent(85) ? mutate(random, chosen) : chosen
  // The length may now be wrong; that is wanted.
  const bytes = Buffer.from(changed.toString('latin1').replaceAll('KEY', key), 'latin1')
  return { steps: pieces(random, bytes), end: random.percent(8) ? 'open' : random.percent(80) ? 'closed' : 'broken' }
}

/** Headers of one connection or of HTTP/2 alone, and such as there must be only one of. */
const EXTRA: readonly string[] = [
  'HTTP2-Settings: AAMAAABkAAQAAP__',
  'Connection: keep-alive, HTTP2-Settings',
  'Connection: upgrade',
  'Upgrade: h2c',
  // A time that is changed to a longer one would keep a connection that is not wrong.
  'Keep-Alive: max=9',
  'Proxy-Connection: close',
  'Proxy-Authenticate: Basic',
  'TE: trailers',
  'Trailer: X-T',
  'X-Header: 1',
  'Age: 1',
  'Access-Control-Allow-Origin: *',
  'Content-Encoding: identity',
  'Content-Range: bytes 0-1/2',
  'Content-Type: text/plain',
  'Date: Thu, 01 Jan 1970 00:00:00 GMT',
  'ETag: "a"',
  'Expires: 0',
  'Host: a',
  'Location: /',
  'Retry-After: 1',
  'Server: a',
  'Set-Cookie: a=1',
  'Strict-Transport-Security: max-age=1',
  'X-Content-Type-Options: nosniff',
]

/** Makes up to three lines; half of them come twice. */
export function extraHeaders(random: Random): string[] {
  return Array.from({ length: random.below(4) }, () => random.pick(EXTRA)).flatMap((line) => {
    return random.percent(50) ? [line, line] : [line]
  })
}
