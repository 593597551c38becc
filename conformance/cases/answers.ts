import { gzipSync } from 'node:zlib'
import { EVERY_BYTE, OK, call, plain, sized, streamed, utf8 } from './case.ts'
import type { Answer, Call } from './case.ts'

const ERROR = '{"error":{"message":"no","type":"x","code":null,"param":null}}'
const JSON_TYPE = 'Content-Type: application/json'
const gzip = (text: string) => gzipSync(text).toString('latin1')

/** Answers, which arrive as they are. */
const ANSWERS: Readonly<Record<string, Answer>> = {
  'a creation with a relative location': sized('HTTP/1.1 201 Created', ['Location: /v1/realtime/calls/rtc_1'], 'x'),
  'an acceptance': sized('HTTP/1.1 202 Accepted'),
  'a reset of content': sized('HTTP/1.1 205 Reset Content'),
  'several parts': sized('HTTP/1.1 206 Partial Content', ['Content-Type: multipart/byteranges; boundary=b'], '--b--'),
  'a permanent redirect': sized('HTTP/1.1 301 Moved', ['Location: https://elsewhere.example/'], 'there'),
  'a redirect that is found': sized('HTTP/1.1 302 Found', ['Location: ../y?a=b#c']),
  'a redirect to see': sized('HTTP/1.1 303 See Other', ['Location: /v1/x']),
  'a redirect that keeps the method': sized('HTTP/1.1 307 There', ['Location: /v1/y']),
  'a redirect that stays': sized('HTTP/1.1 308 For Good', ['Location: /v1/y']),
  'a bad request': sized('HTTP/1.1 400 Bad Request', [JSON_TYPE], ERROR),
  'a refusal of the key': sized('HTTP/1.1 401 Unauthorized', [JSON_TYPE], ERROR),
  'a refusal of payment': sized('HTTP/1.1 402 Pay First', [JSON_TYPE], ERROR),
  'a prohibition': sized('HTTP/1.1 403 Forbidden', [JSON_TYPE], ERROR),
  'what is not there': sized('HTTP/1.1 404 Nothing To See Here', [JSON_TYPE], ERROR),
  'a method that is not allowed': sized('HTTP/1.1 405 No', ['Allow: GET, POST'], ''),
  'a proxy that wants credentials': sized('HTTP/1.1 407 Proxy Authentication Required'),
  'a time-out': sized('HTTP/1.1 408 Request Timeout', [], 'late'),
  'a conflict': sized('HTTP/1.1 409 Conflict', [JSON_TYPE], ERROR),
  'what is gone': sized('HTTP/1.1 410 Gone'),
  'a teapot': sized('HTTP/1.1 418 I am a teapot; go away', [], 'short and stout'),
  'a fault of the content': sized('HTTP/1.1 422 Unprocessable', [JSON_TYPE], ERROR),
  'a limit': sized(
    'HTTP/1.1 429 Too Many Requests',
    ['Retry-After: 1', 'retry-after-ms: 5', 'x-should-retry: false'],
    ERROR,
  ),
  'a failure': sized('HTTP/1.1 500 Oh No', [JSON_TYPE], ERROR),
  'what is not implemented': sized('HTTP/1.1 501 Not Implemented', [], 'x'),
  'a bad gateway': sized('HTTP/1.1 502 Theirs', [], 'bad'),
  'an overload': sized('HTTP/1.1 503 Busy', ['Retry-After: 1'], ERROR),
  'a gateway that waits': sized('HTTP/1.1 504 Theirs', [], 'late'),
  'a Cloudflare error': sized('HTTP/1.1 520 Web Server Is Returning an Unknown Error', ['cf-ray: 1'], '<html>'),
  'an unknown status': sized('HTTP/1.1 799 Who Knows', [], 'x'),
  'an unknown success': sized('HTTP/1.1 299 Fine', [], 'x'),
  'no reason at all': sized('HTTP/1.1 200 ', [], 'x'),
  'a reason in UTF-8': sized(`HTTP/1.1 200 ${utf8('grün 日')}`, [], 'x'),
  'a reason in Latin-1': sized('HTTP/1.1 200 gr\xfcn', [], 'x'),
  'a refusal with a reason in UTF-8': sized(`HTTP/1.1 422 ${utf8('日本')}`, [], 'x'),
  'headers in odd spelling, repeated': sized('HTTP/1.1 200 OK', [
    'X-A: 1',
    'x-a: 2',
    'ETAG: "w"',
    'X-A: 1',
    'x-REQUEST-id: r',
  ]),
  'headers in Latin-1 and empty ones': sized('HTTP/1.1 200 OK', ['X-Latin: \xe9\xff', 'X-Empty:', 'X-Blank: a  b']),
  'headers of 12 KB': sized('HTTP/1.1 200 OK', [`X-Long: ${'v'.repeat(12_000)}`], 'x'),
  'many headers': sized(
    'HTTP/1.1 200 OK',
    Array.from({ length: 90 }, (_each, index) => `X-N${index}: ${index}`),
    'x',
  ),
  'headers about links and caches': sized('HTTP/1.1 200 OK', [
    'Link: </a>; rel="next", </b>',
    'Vary: Accept-Encoding, X',
    'Cache-Control: private, max-age=1',
    'Age: 3',
    'Expires: 0',
    'Last-Modified: Thu, 01 Jan 1970 00:00:00 GMT',
    'Content-Disposition: attachment; filename="a b.txt"; filename*=UTF-8\'\'%e2%82%ac',
    'Content-Language: de, en',
    'Deprecation: @1',
    'Warning: 299 - "old"',
  ]),
  'a date of its own': sized('HTTP/1.1 200 OK', ['date: Thu, 01 Jan 1970 00:00:00 GMT'], 'x'),
  'what names the account or frames the origin': sized('HTTP/1.1 200 OK', [
    'Set-Cookie: a=b; Domain=.api.openai.com',
    'Server: cloudflare',
    'OpenAI-Organization: o',
    'OpenAI-Project: p',
    'Alt-Svc: h3=":443"',
    'Strict-Transport-Security: max-age=1',
    'Access-Control-Allow-Origin: *',
    'X-After: 1',
  ]),
  'headers of one hop': sized('HTTP/1.1 200 OK', ['Connection: x-hop', 'X-Hop: 1', 'Keep-Alive: timeout=5', 'X-B: 2']),
  gzip: sized('HTTP/1.1 200 OK', ['Content-Encoding: gzip', JSON_TYPE], gzip('{"a":1}')),
  'a refusal in gzip': sized('HTTP/1.1 400 Bad', ['Content-Encoding: gzip', JSON_TYPE], gzip(ERROR)),
  'an encoding that is none': sized('HTTP/1.1 200 OK', ['Content-Encoding: constructor'], EVERY_BYTE),
  'JSON that a parser would change': sized(
    'HTTP/1.1 200 OK',
    [JSON_TYPE],
    '{"a":1,"a":12345678901234567890, "b" : 1.0}\r\n',
  ),
  'text that is no UTF-8': sized(
    'HTTP/1.1 200 OK',
    ['Content-Type: text/plain; charset=utf-8'],
    '\xff\xfe\xed\xa0\x80',
  ),
  'every byte, long': sized('HTTP/1.1 200 OK', [], EVERY_BYTE.repeat(1_200)),
  'a long refusal': sized('HTTP/1.1 400 Bad', [], EVERY_BYTE.repeat(1_200)),
  chunks: streamed('HTTP/1.1 200 OK', [], [EVERY_BYTE, 'x', EVERY_BYTE.repeat(64)]),
  'a refusal in chunks': { ...streamed('HTTP/1.1 400 Bad', [JSON_TYPE], [ERROR, '\n']), bodyBytes: [] },
  'a refusal as events': streamed(
    'HTTP/1.1 429 Slow Down',
    ['Content-Type: text/event-stream'],
    ['data: 1\n\n', 'data: 2\n\n'],
  ),
  'events with comments and odd line ends': streamed(
    'HTTP/1.1 200 OK',
    ['Content-Type: text/event-stream'],
    [': ping\r\n\r\n', 'data: a\rdata: b\n\n', 'da', 'ta: split\n', '\n'],
  ),
  'no chunks': plain('HTTP/1.1 200 OK', ['Transfer-Encoding: chunked'], '0\r\n\r\n'),
  nothing: plain('HTTP/1.1 204 No Content', ['X-A: 1']),
}

const INTERIM = plain('HTTP/1.1 103 Early Hints', ['Link: </a>']).pieces.join('')

/** Answers whose end or beginning HTTP/1.1 says in its own way. */
const FRAMES: Readonly<Record<string, Answer>> = {
  trailers: streamed('HTTP/1.1 200 OK', ['Trailer: X-T'], ['abc'], 'X-T: 1\r\n'),
  'a trailer that is announced and cannot come': plain('HTTP/1.1 200 OK', ['Trailer: X-T', 'Content-Length: 1'], 'x'),
  'early hints': { pieces: [INTERIM + OK.pieces.join('')] },
  'many early hints': { pieces: [INTERIM.repeat(50) + OK.pieces.join('')] },
  'the end of the connection': { ...plain('HTTP/1.1 200 OK', [], 'to the end'), end: 'close' },
  'nothing but the end of the connection': { ...plain('HTTP/1.1 200 OK'), end: 'close' },
  'a stated length and the end': { ...sized('HTTP/1.1 200 OK', ['Connection: close'], 'x'), end: 'close' },
}

/** Answers that break off. */
const CUTS: Readonly<Record<string, Answer>> = {
  'a stated length': plain('HTTP/1.1 200 OK', ['Content-Length: 99'], 'part'),
  'a stated length, long': plain('HTTP/1.1 200 OK', ['Content-Length: 900000'], EVERY_BYTE.repeat(800)),
  chunks: plain('HTTP/1.1 200 OK', ['Transfer-Encoding: chunked'], '4\r\npart\r\n'),
  'the middle of a chunk': plain('HTTP/1.1 200 OK', ['Transfer-Encoding: chunked'], '9\r\npart'),
  events: plain(
    'HTTP/1.1 200 OK',
    ['Content-Type: text/event-stream', 'Transfer-Encoding: chunked'],
    '9\r\ndata: 1\n\n\r\n',
  ),
}

const REFUSAL_CUTS: Readonly<Record<string, Answer>> = {
  'a refusal': plain('HTTP/1.1 400 Bad', ['Content-Length: 99'], 'part'),
  'a head': { pieces: ['HTTP/1.1 200 OK\r\nX-A: 1\r\n'] },
  nothing: { pieces: [''] },
}

/** Answers, which arrive as they are, and cut short where they were. */
export function answerCases(): Call[] {
  return [
    ...Object.entries(ANSWERS).map(([title, answer]) =>
      call(`answer: ${title}`, { answer, ...(title === 'a refusal of the key' && { allows: ['gateway'] as const }) }),
    ),
    ...Object.entries(FRAMES).map(([title, answer]) => call(`answer: ${title}`, { answer })),
    ...Object.entries(CUTS).flatMap(([title, answer]) => [
      call(`answer cut short: ${title}`, { answer: { ...answer, end: 'close' } }),
      call(`answer cut short by a reset: ${title}`, { answer: broken(answer) }),
    ]),
    call('answer cut short by a reset: one without a frame', { answer: broken(plain('HTTP/1.1 200 OK', [], 'part')) }),
    ...Object.entries(REFUSAL_CUTS).map(([title, answer]) =>
      call(`answer cut short: ${title}`, { answer: { ...answer, end: 'close' }, allows: ['gateway'] }),
    ),
    call('answer: 100 Continue that nobody asked for', {
      answer: { pieces: [`HTTP/1.1 100 Continue\r\n\r\n${OK.pieces.join('')}`] },
      allows: ['gateway'],
    }),
    call('an early answer to a long body', {
      method: 'POST',
      body: 'x'.repeat(600_000),
      answer: { ...sized('HTTP/1.1 413 Enough', [], 'no more'), isEarly: true },
    }),
  ]
}

/** Breaks an answer off once the client has what was sent; before that a reset might throw it away. */
function broken({ pieces }: Answer): Answer {
  const text = pieces.join('')
  return { pieces: [text, ''], bodyBytes: [1], end: 'reset' }
}

/** Clients that leave. */
export function leavingCases(): Call[] {
  const post = { method: 'POST', body: 'x'.repeat(500) }
  const long = { method: 'POST', body: 'x'.repeat(300_000) }
  const endless = streamed('HTTP/1.1 200 OK', ['Content-Type: text/event-stream'], ['data: 1\n\n', 'data: 2\n\n'])
  const open = { pieces: endless.pieces.slice(0, -1), bodyBytes: endless.bodyBytes }
  return [
    call('a client that leaves in a short body', { ...post, leavesAfter: { sent: 100 } }),
    call('a client that leaves in a long body', { ...long, leavesAfter: { sent: 200_000 } }),
    call('a client that leaves in a body in chunks', { ...long, isChunked: true, leavesAfter: { sent: 1_000 } }),
    call('a client that leaves in a stream', { answer: open, leavesAfter: { received: 18 } }),
  ]
}
