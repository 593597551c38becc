import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { connect } from 'node:net'
import { PassThrough } from 'node:stream'
import { test } from 'tap'
import { answerClientError } from '../../services/client-error.ts'
import { corsHeaders, preflightHeaders } from '../../services/cors.ts'
import { SoakpError } from '../../services/errors.ts'
import { assertUnambiguous } from '../../services/gate.ts'
import { describeError, scrub } from '../../services/log-fields.ts'
import { createValidatorCompiler } from '../../services/validation.ts'

test('a request that two servers could read in two ways is refused', (t) => {
  const plain = { method: 'POST', url: '/v1/models', httpVersion: '1.1', rawHeaders: ['Host', 'a'] }
  const good = [
    {},
    { url: '/' },
    { url: '//x' },
    { url: '*', method: 'OPTIONS' },
    { httpVersion: '1.0', rawHeaders: [] },
    { rawHeaders: ['host', '', 'AUTHORIZATION', 'Bearer x', 'Transfer-Encoding', ' Chunked '] },
  ]
  for (const request of good) t.doesNotThrow(() => assertUnambiguous({ ...plain, ...request }))
  const ambiguous = [
    { url: 'http://evil.example/v1/models' },
    { url: 'https://a/v1' },
    { url: '*' },
    { url: '' },
    { url: 'v1/models' },
    { url: '?x' },
    { url: undefined },
    { rawHeaders: [] },
    { rawHeaders: ['Host', 'a', 'HOST', 'a'] },
    { rawHeaders: ['Host', 'a', 'Authorization', 'Bearer x', 'authorization', 'Bearer x'] },
    ...['gzip, chunked', 'chunked, chunked', 'identity', 'xchunked', 'chunked;q=1', '', 'chunked,'].map((value) => ({
      rawHeaders: ['Host', 'a', 'Transfer-Encoding', value],
    })),
    { httpVersion: '1.0', rawHeaders: ['Host', 'a', 'Transfer-Encoding', 'chunked'] },
  ]
  for (const request of ambiguous) {
    const error = { statusCode: 400, code: 'SOAKP_REQUEST_AMBIGUOUS', headers: { connection: 'close' } }
    t.throws(() => assertUnambiguous({ ...plain, ...request }), error, JSON.stringify(request))
  }
  for (const httpVersion of ['0.9', '2.0', '1.2', '']) {
    t.throws(() => assertUnambiguous({ ...plain, httpVersion }), { statusCode: 505, code: 'SOAKP_HTTP_VERSION' })
  }
  t.end()
})

test('CORS headers name one origin, expose what the SDK reads and echo what it asks for', (t) => {
  const origin = 'https://app.example.com'
  const exposed = corsHeaders(origin)['access-control-expose-headers']?.split(', ') ?? []
  t.match(corsHeaders(origin), { 'access-control-allow-origin': origin, vary: /Origin/ })
  for (const name of [
    'x-request-id',
    'retry-after',
    'retry-after-ms',
    'x-should-retry',
    'openai-processing-ms',
    'location',
  ]) {
    t.ok(exposed.includes(name), name)
  }
  t.equal(exposed.filter((name) => /^x-ratelimit-(limit|remaining|reset)-(requests|tokens)$/.test(name)).length, 6)
  t.notOk(exposed.includes('*'), 'a wildcard exposes nothing beside an Authorization header')
  const asked = 'authorization,x-stainless-lang, x-of-tomorrow'
  const preflight = preflightHeaders(origin, asked)
  t.equal(preflight['access-control-allow-headers'], asked)
  t.match(preflight, { 'access-control-allow-origin': origin, 'access-control-max-age': '7200', vary: /Origin/ })
  for (const method of ['GET', 'POST', 'DELETE', 'PATCH']) t.match(preflight['access-control-allow-methods'], method)
  t.notOk('access-control-allow-headers' in preflightHeaders(origin, undefined))
  t.notOk('access-control-allow-credentials' in { ...preflight, ...corsHeaders(origin) })
  t.end()
})

test('what the HTTP parser refuses is answered in the envelope of every error, and the connection ends', async (t) => {
  const server = createServer({ headersTimeout: 100, connectionsCheckingInterval: 20, maxHeaderSize: 4_096 })
  server.on('clientError', answerClientError)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => server.close())
  const cases: Record<string, [request: string, words: string, code: string]> = {
    '400 Bad Request': ['GET / HTTP/1.1\r\nHost: a\r\nbad header\r\n\r\n', 'well-formed', 'SOAKP_REQUEST_MALFORMED'],
    '431 Request Header Fields Too Large': [
      `GET / HTTP/1.1\r\nHost: a\r\nX: ${'x'.repeat(9_000)}\r\n\r\n`,
      'too large',
      'SOAKP_HEADERS_TOO_LARGE',
    ],
    '408 Request Timeout': ['GET / HTTP/1.1\r\nHost: a\r\n', 'too long', 'SOAKP_REQUEST_TIMEOUT'],
  }
  for (const [status, [request, words, code]] of Object.entries(cases)) {
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1')
    socket.write(request)
    const chunks: Buffer[] = []
    socket.on('data', (chunk: Buffer) => chunks.push(chunk))
    await once(socket, 'end')
    const [head = '', body = ''] = String(Buffer.concat(chunks)).split('\r\n\r\n')
    t.match(head, `HTTP/1.1 ${status}\r\n`)
    t.match(head.toLowerCase(), /connection: close/)
    t.match(head.toLowerCase(), /x-should-retry: false/)
    t.match(head.toLowerCase(), `content-length: ${body.length}`)
    const { error } = JSON.parse(body) as { error: Record<string, unknown> }
    t.match(error, { type: 'invalid_request_error', code, param: null })
    t.match(String(error['message']), words)
  }
  const gone = new PassThrough()
  const reset = Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' })
  answerClientError(reset, gone as unknown as Parameters<typeof answerClientError>[1])
  t.same([gone.destroyed, gone.read()], [true, null], 'to a client that is gone nothing is written')
})

test('what looks like a credential is struck from the log, wherever it begins', (t) => {
  const secrets = ['sk-proj-canary_12345', 'sk-canary123', 'soakp_admin_canary123', 'eyJcanary.eyJcanary12.s1gn']
  const frames = ['X', 'key=X', 'xX', '%20X', '"X"', '\\nX', '[X]', '…X…', '/v1?api_key=X&b=1', 'X X']
  for (const secret of secrets) {
    for (const frame of frames) t.notMatch(scrub(frame.replaceAll('X', secret)), /canary/, `${frame} ${secret}`)
  }
  for (const header of [
    'Bearer canary',
    'authorization: bearer canary/+=',
    'BASIC Y2FuYXJ5canary==',
    'Bearer%20canary',
  ]) {
    t.notMatch(scrub(header), /canary/, header)
  }
  t.equal(scrub('connect ECONNREFUSED 127.0.0.1:443'), 'connect ECONNREFUSED 127.0.0.1:443')
  t.end()
})

test('an error is described by listed properties, its causes too, even when they go in a circle', (t) => {
  const cause = Object.assign(new TypeError('inner sk-canary-12345'), {
    code: 'ECODE',
    request: { key: 'sk-canary-12345' },
  })
  const described = describeError(new SoakpError(502, 'SOAKP_X', 'outer Bearer canary', { cause }))
  t.notMatch(JSON.stringify(described), /canary/)
  t.match(described, { name: 'SoakpError', message: 'outer [secret]', code: 'SOAKP_X', stack: /edges\.test/ })
  t.match(described.cause, { name: 'TypeError', message: 'inner [secret]', code: 'ECODE' })
  t.same(Object.keys(described.cause ?? {}).toSorted(), ['code', 'message', 'name', 'stack'])
  const circle = new Error('a')
  circle.cause = new Error('b', { cause: circle })
  t.match(describeError(circle), { message: 'a', cause: { message: 'b', cause: { message: 'a' } } })
  for (const odd of [undefined, null, 'sk-canary-12345', { key: 'sk-canary-12345' }, 7]) {
    t.notMatch(JSON.stringify(describeError(odd)), /canary/)
  }
  t.end()
})

test('a body is validated as it is, a query string as the text that it is', (t) => {
  const properties = { limit: { type: 'integer', minimum: 1 }, name: { type: 'string', default: 'n' } }
  const schema = { type: 'object', properties, additionalProperties: false }
  const compile = createValidatorCompiler()
  const [body, query] = [compile({ schema, httpPart: 'body' }), compile({ schema, httpPart: 'querystring' })]
  t.same(
    [body({ limit: 2 }), body({ limit: '2' }), body({ name: null }), body({ other: 1 })],
    [true, false, false, false],
  )
  const read: Record<string, unknown> = { limit: '2' }
  t.same([query(read), read], [true, { limit: 2, name: 'n' }])
  t.same([query({ limit: 'x' }), query({ limit: '0' }), query({ limit: ['1', '2'] })], [false, false, false])
  t.end()
})
