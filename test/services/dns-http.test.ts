import { once } from 'node:events'
import { createServer } from 'node:http'
import type { RequestListener } from 'node:http'
import { createServer as createSilentServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { inspect } from 'node:util'
import { test } from 'tap'
import type { Test } from 'tap'
import { createHttpApi } from '../../services/dns-core/http-api.ts'
import type { HttpApi, HttpApiOptions } from '../../services/dns-core/http-api.ts'
import { createRedactor } from '../../services/dns-core/redaction.ts'
import { Secret } from '../../services/secret.ts'
import { impatientClock } from '../support/dns-benches/bench.ts'
import { failureOf } from '../support/dns-contract/subject.ts'

const signal = new AbortController().signal
const secret = new Secret('canary+of/this=test')

const optionsFor = (baseUrl: string): HttpApiOptions => ({
  provider: 'sample',
  title: 'Sample',
  baseUrl,
  clock: impatientClock(),
  secrets: [secret],
  authorize: () => ({ authorization: `Bearer ${secret.reveal()}` }),
  readFault: ({ text }) => ({ said: text }),
  credentialsAdvice: 'Is SAMPLE_TOKEN right?',
})

async function serve(t: Test, listener: RequestListener, more: Partial<HttpApiOptions> = {}): Promise<HttpApi> {
  const server = createServer(listener).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const api = createHttpApi({
    ...optionsFor(`http://127.0.0.1:${(server.address() as AddressInfo).port}/base`),
    ...more,
  })
  t.teardown(async () => {
    await api.close()
    server.closeAllConnections()
    server.close()
  })
  return api
}

test('a status says what kind of fault it is, and Retry-After how long to wait', async (t) => {
  const kinds = {
    301: 'refused',
    400: 'refused',
    401: 'credentials',
    403: 'credentials',
    404: 'refused',
    408: 'unreachable',
    422: 'refused',
    429: 'limit',
    500: 'unreachable',
    503: 'unreachable',
  }
  for (const [status, kind] of Object.entries(kinds)) {
    const api = await serve(
      t,
      (_, response) => void response.writeHead(Number(status), { location: '/' }).end('said so'),
    )
    const error = await failureOf(api.call('POST', '/x', { signal }))
    t.match(error, { kind, provider: 'sample', retryAfterMs: undefined }, status)
    t.match(error.message, new RegExp(`HTTP ${status}: said so`))
    t.match(error.message, status === '401' ? /Is SAMPLE_TOKEN right\?$/ : /\.$|\?$/)
  }
  const waits = {
    7: 7000,
    '99999999999999999999': 86_400_000,
    '-1': undefined,
    soon: undefined,
    [new Date(0).toUTCString()]: 0,
  }
  for (const [value, waitMs] of Object.entries(waits)) {
    const api = await serve(t, (_, response) => void response.writeHead(429, { 'retry-after': value }).end())
    t.equal((await failureOf(api.call('GET', '/x', { signal }))).retryAfterMs, waitMs, value)
  }
  const later = new Date(Date.now() + 60_000).toUTCString()
  const api = await serve(t, (_, response) => void response.writeHead(429, { 'retry-after': later }).end())
  const { retryAfterMs = 0 } = await failureOf(api.call('GET', '/x', { signal }))
  t.ok(retryAfterMs > 30_000 && retryAfterMs <= 60_000, 'a date')
})

test('reads are tried three times where the API fails, writes once, and neither where it refuses', async (t) => {
  let calls = 0
  const clock = impatientClock()
  const failing = await serve(t, (_, response) => void response.writeHead(503).end(String((calls += 1))), { clock })
  await failureOf(failing.call('GET', '/x', { signal }))
  t.equal(calls, 3)
  t.same(clock.waits, [600, 1200])
  for (const method of ['POST', 'PUT', 'PATCH', 'DELETE'] as const) {
    calls = 0
    await failureOf(failing.call(method, '/x', { signal }))
    t.equal(calls, 1, method)
  }
  let refusals = 0
  const refusing = await serve(t, (_, response) => void response.writeHead(400 + (refusals += 1)).end())
  await failureOf(refusing.call('GET', '/x', { signal }))
  t.equal(refusals, 1)
  let tries = 0
  const healing = await serve(t, (request, response) => {
    tries += 1
    if (tries < 3) request.socket.destroy()
    else response.end('{"fine":1}')
  })
  t.same(await healing.json('GET', '/x', { signal }), { fine: 1 })
})

test('a redirect is not followed', async (t) => {
  const paths: (string | undefined)[] = []
  const api = await serve(t, ({ url }, response) => {
    paths.push(url)
    response.writeHead(307, { location: '/elsewhere' }).end()
  })
  const { message } = await failureOf(api.call('GET', '/x', { signal, query: { a: 'b c+&' } }))
  t.match(message, /redirected GET \/x, which is not followed/)
  t.same(paths, ['/base/x?a=b%20c%2B%26'])
})

test('an answer that does not come, does not end, or is too long is given up', async (t) => {
  const silent = await serve(t, () => undefined, { timeoutMs: 100 })
  t.match(await failureOf(silent.call('POST', '/x', { signal })), {
    kind: 'unreachable',
    message: /within 0\.1 seconds/,
  })
  const dripping = await serve(t, (_, response) => void setInterval(() => response.write('x'), 10).unref(), {
    timeoutMs: 100,
  })
  t.match(await failureOf(dripping.call('POST', '/x', { signal })), {
    kind: 'unreachable',
    message: /within 0\.1 seconds/,
  })
  const long = await serve(t, (_, response) => void response.end('x'.repeat(4 * 1024 * 1024 + 1)))
  t.match(await failureOf(long.call('POST', '/x', { signal })), { kind: 'unreachable', message: /longer than/ })
  const garbled = await serve(t, (_, response) => void response.end('<html>'))
  t.match(await failureOf(garbled.json('POST', '/x', { signal, body: {} })), {
    kind: 'unreachable',
    message: /no JSON/,
  })
})

test('an abort rejects at once with its reason, while connecting, waiting and reading', async (t) => {
  const reason = new Error('stopped')
  const silent = await serve(t, () => undefined)
  const dripping = await serve(t, (_, response) => void response.write('x'))
  for (const api of [silent, dripping]) {
    const controller = new AbortController()
    setTimeout(() => controller.abort(reason), 30)
    await t.rejects(api.call('GET', '/x', { signal: controller.signal }), reason)
  }
  await t.rejects(silent.call('GET', '/x', { signal: AbortSignal.abort(reason) }), reason)
})

test('credentials go to https, or to http on this machine, and nowhere else', async (t) => {
  for (const url of ['https://api.example.com/v1', 'http://localhost:1', 'http://127.9.9.9', 'http://[::1]:8080/x']) {
    t.doesNotThrow(() => createHttpApi(optionsFor(url)), url)
  }
  const refused = [
    'http://api.example.com',
    'http://10.0.0.1',
    'ftp://localhost',
    'api.example.com',
    '',
    'https://u:p@x.example',
    'https://x.example?a=b',
    'https://x.example#a',
    'http://localhost.example',
  ]
  for (const url of refused) {
    t.throws(() => createHttpApi(optionsFor(url)), { kind: 'credentials', message: /must be https/ }, url)
  }
})

test('what an API says is shown in one line, short and without secrets', (t) => {
  const redact = createRedactor([secret, undefined, new Secret('abc')])
  const said = `no\u0000 "${secret.reveal()}"\r\n\u202E ${encodeURIComponent(secret.reveal())} ${Buffer.from(secret.reveal()).toString('base64')}`
  t.equal(redact(said), 'no "[secret]" [secret] [secret]')
  t.equal(redact('abc'), 'abc', 'too short to be one')
  t.end()
})

test('a secret in the path is not shown either, and a long answer is cut before the advice', async (t) => {
  const api = await serve(t, (_, response) => void response.writeHead(401).end('x'.repeat(9999)))
  const { message } = await failureOf(api.call('POST', `/${encodeURIComponent(secret.reveal())}/x`, { signal }))
  t.match(message, /for POST \/\[secret\]\/x \(HTTP 401: x{300}\)\. Is SAMPLE_TOKEN right\?$/)
})

test('what is known of a broken connection holds no credential', async (t) => {
  const dead = createHttpApi(optionsFor('http://127.0.0.1:1'))
  const breaking = await serve(t, ({ socket }) => void socket.destroy())
  const odd = await serve(t, ({ socket, headers }) => void socket.end(`HTTP/9 ${headers.authorization}\r\n\r\n`))
  for (const api of [dead, breaking, odd]) {
    const error = await failureOf(api.call('POST', '/x', { signal, body: { type: 'text/plain', text: 'body' } }))
    t.match(error, { kind: 'unreachable', message: /could not be reached at http:\/\/127\.0\.0\.1:\d+: / })
    t.notMatch(inspect(error, { depth: 9, showHidden: true }), /canary/)
  }
})

test('a credential that HTTP cannot carry is told without showing it', async (t) => {
  const api = await serve(t, (_, response) => void response.end(), {
    authorize: () => ({ authorization: 'Bearer canary€' }),
  })
  const error = await failureOf(api.call('GET', '/x', { signal }))
  t.match(error, { kind: 'credentials' })
  t.notMatch(`${error.message}${error.stack}`, /canary/)
})

test('an abort rejects at once also while the connection is made', async (t) => {
  const server = createSilentServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const api = createHttpApi(optionsFor(`https://127.0.0.1:${(server.address() as AddressInfo).port}`))
  t.teardown(() => api.close())
  const reason = new Error('stopped')
  const controller = new AbortController()
  const calling = api.call('GET', '/', { signal: controller.signal })
  const [socket] = (await once(server, 'connection')) as [Socket]
  t.teardown(() => {
    socket.destroy()
    server.close()
  })
  const begin = performance.now()
  controller.abort(reason)
  await t.rejects(calling, reason)
  t.ok(performance.now() - begin < 2_000, 'long before the time-out')
})
