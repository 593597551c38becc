import { gzipSync } from 'node:zlib'
import type { Header } from '../messages.ts'
import { EVERY_BYTE, call, utf8 } from './case.ts'
import type { Call } from './case.ts'

const TARGETS = [
  '',
  '?',
  '/',
  '//a//',
  '/a//b///c',
  '/a%2Fb%2fc/%E2%82%AC',
  '/x?',
  '/x??a=?b',
  '/x?a=1&a=2&&=%20+;[]|{}"<>^`~!$\'()*,:@',
  '/x?url=https://elsewhere.example/../y',
  '/x?broken=%zz%',
  '/a;b=c/d,e:f@g',
  '/http://elsewhere.example/x',
  '/@elsewhere.example:80/x',
  "/~a/-_.!$&'()*+,;=:@",
  '/%00/%0d%0a/%252e%252e%252f',
  '/.well-known/...',
  `/${'p'.repeat(8_000)}?q`,
  `/x?${'q'.repeat(8_000)}`,
  '/responses/resp_1?include[]=a&include[]=b',
  '/unknown/path/of/tomorrow',
]

/** Targets that two servers may read in two ways. */
const DOUBTFUL = [
  '/..',
  '/a/../b',
  '/./x',
  '/a/./b',
  '/%2e%2e/x',
  '/..%2fx',
  '/a\\b',
  '/%5c',
  '/%zz',
  '/%ff',
  '/x#y',
  '/\xe9',
]

/** Targets, which arrive byte for byte. */
export function targetCases(): Call[] {
  return [
    ...TARGETS.map((target) => call(`target ${JSON.stringify(target.slice(0, 60))}`, { target })),
    ...DOUBTFUL.map((target) =>
      call(`doubtful target ${JSON.stringify(target)}`, { target, allows: ['refusal'], inHttp2: false }),
    ),
  ]
}

/** Methods, which arrive as they are. */
export function methodCases(): Call[] {
  const known = ['GET', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS', 'QUERY', 'PROPFIND', 'REPORT', 'PURGE', 'M-SEARCH']
  const doubtful = ['get', 'Post', 'BREW', 'TRACE']
  return [
    ...known.map((method) => call(`method ${method}`, { method })),
    ...known.map((method) => call(`method ${method} with a body`, { method, body: '{"a":1}', headers: JSON_TYPE })),
    ...doubtful.map((method) => call(`doubtful method ${method}`, { method, allows: ['refusal'] })),
  ]
}

const JSON_TYPE: readonly Header[] = [['Content-Type', 'application/json']]

const BODIES: Readonly<Record<string, string>> = {
  'of no bytes': '',
  'with duplicate keys': '{"a":1,"a":2, "__proto__": {"b":1}}',
  'with huge integers': '{"seed":12345678901234567890123,"x":1.0,"y":1e400,"z":-0}',
  'with blanks and escapes': ' {\t"a" : "\\u00e9\\ud800\\/" }\r\n',
  'in odd UTF-8': `{"a":"${utf8('é€😀\u2028')}\xff\xfe\xed\xa0\x80"}`,
  'with a byte order mark': '\xef\xbb\xbf{}',
  'that is no JSON': '{"a": nonsense,',
  'of one JSON scalar': 'null',
  'nested deeply': `${'['.repeat(5_000)}${']'.repeat(5_000)}`,
  'of every byte': EVERY_BYTE,
  'longer than a buffer': EVERY_BYTE.repeat(1_200),
}

const FORM_END = '\r\nContent-Disposition: form-data; name="a"\r\n\r\n1\r\n'

/** Boundaries of forms, with the delimiter as it is in the body. */
const BOUNDARIES: Readonly<Record<string, string>> = {
  "'()+_,-./:=? x": '"\'()+_,-./:=? x"',
  '----------': '----------',
  [`b${'o'.repeat(69)}`]: `b${'o'.repeat(69)}`,
}

/** Bodies, which arrive byte for byte. */
export function bodyCases(): Call[] {
  const post = { method: 'POST', headers: JSON_TYPE }
  const gzip = gzipSync('{"a":1}').toString('latin1')
  return [
    ...Object.entries(BODIES).flatMap(([title, body]) => [
      call(`a body ${title}`, { ...post, body }),
      call(`a body ${title}, in chunks`, { ...post, body, isChunked: true }),
    ]),
    call('a body in gzip', { ...post, headers: [...JSON_TYPE, ['Content-Encoding', 'gzip']], body: gzip }),
    call('a body in an unknown encoding', { ...post, headers: [['Content-Encoding', 'x-own']], body: EVERY_BYTE }),
    call('GET with a body', { headers: JSON_TYPE, body: '{"q":1}' }),
    call('DELETE with a body in chunks', { method: 'DELETE', body: '{"q":1}', isChunked: true }),
    call('POST without a body', { method: 'POST' }),
    call('POST of a type without a body', post),
    ...Object.entries(BOUNDARIES).map(([boundary, written]) =>
      call(`a form whose boundary is ${JSON.stringify(boundary.slice(0, 20))}`, {
        method: 'POST',
        headers: [['Content-Type', `multipart/form-data; boundary=${written}`]],
        body: `preamble\r\n--${boundary}${FORM_END}--${boundary} \t${FORM_END}--${boundary}--epilogue`,
      }),
    ),
    call('a form without its end', {
      method: 'POST',
      headers: [['content-type', 'multipart/form-data; boundary=b']],
      body: `--b${FORM_END}`,
    }),
    call('a body with a media type of many parameters', {
      method: 'POST',
      headers: [['Content-Type', 'a/b; charset="x y";  q=1;profile=https://a/b']],
      body: 'x',
    }),
    call('a body whose type is none', {
      method: 'POST',
      headers: [['Content-Type', 'nonsense']],
      body: 'x',
      allows: ['refusal'],
    }),
    call('a body with trailers', {
      ...post,
      body: '{}',
      isChunked: true,
      trailers: 'X-Checksum: 1\r\n',
      inHttp2: false,
    }),
    call('a body of known length in two packets', { ...post, body: EVERY_BYTE, restsAfter: 200, inHttp2: false }),
    call('a body that comes piece by piece', { ...post, body: ['{"a":', '"b"', '}'] }),
    call('a body that waits for 100 Continue', { ...post, body: '{"a":1}', expectsContinue: true }),
    call('a long body that waits for 100 Continue', { ...post, body: 'x'.repeat(100_000), expectsContinue: true }),
  ]
}

const LISTS: Readonly<Record<string, readonly Header[]>> = {
  'in odd spelling and order': [
    ['x-Z', '1'],
    ['ACCEPT', 'a, b;q=0'],
    ['X-a', '2'],
    ['uSER-aGENT', 'Mine/1 (x; y)'],
  ],
  'of one name': [
    ['X-Same', '1'],
    ['X-Other', '2'],
    ['x-same', '3'],
    ['X-Same', '1'],
  ],
  'without a value': [
    ['X-Empty', ''],
    ['OpenAI-Beta', ''],
  ],
  'in Latin-1': [['X-Latin', '\xe9\xff\x80']],
  'in UTF-8': [['X-Utf', utf8('é€😀')]],
  'of 12 KB': [['X-Long', 'v'.repeat(12_000)]],
  'in number': Array.from({ length: 90 }, (_each, index) => [`X-N${index}`, String(index)] as const),
  'with odd names': [
    ["!#$%&'*+-.^_`|~0", 'x'],
    ['__proto__', 'x'],
    ['constructor', 'x'],
  ],
  'with blanks and quotes': [
    ['X-Quoted', 'a  b\t"c, d;\\" e"'],
    ['X-Commas', ', ,,a,'],
  ],
  'that ask for encodings': [['Accept-Encoding', 'zstd, br;q=0.5 ,identity']],
  'that ask for none': [['Accept-Encoding', '']],
  'about caches': [
    ['Cache-Control', 'no-cache'],
    ['Pragma', 'x'],
    ['If-Match', '"a", W/"b"'],
    ['If-Modified-Since', 'x'],
  ],
  'of OpenAI': [
    ['OpenAI-Organization', 'o'],
    ['OpenAI-Project', 'p'],
    ['OpenAI-Safety-Identifier', 's'],
  ],
  'of tracing': [
    ['traceparent', '00-1-2-01'],
    ['baggage', 'a=b'],
    ['X-Client-Request-Id', 'r'],
    ['X-Request-Id', 'q'],
  ],
  'of credentials': [
    ['Cookie', 'a=b'],
    ['Proxy-Authorization', 'Basic eA=='],
    ['X-Api-Key', 'x'],
    ['X-After', '1'],
  ],
  'about the front': [
    ['X-Forwarded-For', '1.2.3.4'],
    ['Via', '1.1 x'],
    ['Forwarded', 'for=1.2.3.4'],
    ['X-After', '1'],
  ],
  'about the page': [
    ['Referer', 'https://a.example/'],
    ['Sec-Fetch-Mode', 'cors'],
    ['X-After', '1'],
  ],
}

const HOPS: Readonly<Record<string, readonly Header[]>> = {
  'of one hop': [
    ['Keep-Alive', '300'],
    ['TE', 'trailers'],
    ['X-Hop', '1'],
    ['Connection', 'x-hop, keep-alive'],
    ['X-B', '2'],
  ],
  'that offer an upgrade': [
    ['Connection', 'Upgrade, HTTP2-Settings'],
    ['Upgrade', 'h2c'],
    ['HTTP2-Settings', 'AAA'],
  ],
}

/** Headers, which arrive in their order and spelling. */
export function headerCases(): Call[] {
  return [
    ...Object.entries(LISTS).map(([title, headers]) => call(`headers ${title}`, { headers })),
    ...Object.entries(HOPS).map(([title, headers]) => call(`headers ${title}`, { headers, inHttp2: false })),
  ]
}
