import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { test } from 'tap'
import type { Test } from 'tap'
import { Agent, fetch } from 'undici'
import type { RequestInit } from 'undici'
import { forgeries } from './support/forgeries.ts'
import { OK, RAW_KEY } from './support/passing.ts'
import { PLAIN, bearer, isRefused } from './support/refusals.ts'
import { startSoakp } from './support/soakp.ts'
import type { JsonAnswer } from './support/soakp.ts'
import { answerText, eventually, exchange, send, startRawUpstream } from './support/wire.ts'

/** How a client comes in. What is proved in detail over plain HTTP elsewhere is proved here by each way. */
type Way = readonly [name: string, environment: Record<string, string>, isHttp2: boolean]

const WAYS: readonly Way[] = [
  ['plain HTTP', PLAIN, false],
  ['TLS', {}, false],
  ['HTTP/2', {}, true],
]

/** Starts a SOAKP before a raw upstream, and a client that comes in by one way. */
async function startWay(t: Test, [, mode, allowH2]: Way, environment: Record<string, string> = {}, limits = {}) {
  const upstream = await startRawUpstream(t)
  const settings = { ...mode, SOAKP_UPSTREAM: upstream.url, ...environment }
  const soakp = await startSoakp(t, settings, { limits })
  const { id, token } = await soakp.saveKey({ key: RAW_KEY })
  const dispatcher = new Agent({ connect: { ca: soakp.authority, allowH2 }, allowH2, connections: 64 })
  t.teardown(() => dispatcher.destroy())
  const versions = new Set<string>()
  soakp.app.server.prependListener('request', ({ httpVersion, url = '' }: IncomingMessage) => {
    if (url.startsWith('/v1')) versions.add(httpVersion)
  })

  const begin = (path: string, { headers, ...options }: RequestInit = {}) =>
    fetch(soakp.address + path, {
      redirect: 'manual',
      headers: { ...bearer(token), ...(headers as Record<string, string>) },
      ...options,
      dispatcher,
    })
  const ask = async (path: string, options?: RequestInit): Promise<JsonAnswer> => {
    const answer = await begin(path, options)
    const body = await answer.text()
    const isJson = answer.headers.get('content-type')?.startsWith('application/json') === true
    return {
      status: answer.status,
      headers: new Headers([...answer.headers]),
      body: isJson ? JSON.parse(body) : body,
    }
  }
  return { soakp, upstream, id, token, dispatcher, begin, ask, versions }
}

for (const way of WAYS) {
  const [name, , isHttp2] = way
  test(`over ${name}, calls at once are limited in all and by token, and so is the queue at the upstream`, async (t) => {
    const most = { SOAKP_PARALLEL_REQUESTS: '3', SOAKP_UPSTREAM_CONNECTIONS: '1', SOAKP_UPSTREAM_QUEUE: '1' }
    const { soakp, upstream, id, dispatcher, ask, begin, versions } = await startWay(t, way, most, {
      upstreamQueueMs: 60_000,
    })
    upstream.answer(() => undefined)
    const limited = await soakp.mint(id, { limits: { parallel_requests: 1 } })
    const held = begin('/v1/held', { headers: bearer(limited.token) }).catch(() => undefined)
    await eventually('a call', () => upstream.requests.length === 1)
    isRefused(t, await ask('/v1/more', { headers: bearer(limited.token) }), { status: 429, code: 'SOAKP_LIMIT' })
    const waiting = begin('/v1/waiting').catch(() => undefined)
    await eventually('two calls', () => soakp.app.unsealed.liveCalls.size === 2)
    t.match(await ask('/v1/more'), { status: 503, body: { error: { code: 'SOAKP_UPSTREAM_BUSY' } } })
    const others = await soakp.saveKey({ key: RAW_KEY, base_url: upstream.url.replace('127.0.0.1', 'localhost') })
    const elsewhere = begin('/v1/elsewhere', { headers: bearer(others.token) }).catch(() => undefined)
    await eventually('three calls', () => soakp.app.unsealed.liveCalls.size === 3)
    t.match(await ask('/v1/more'), { status: 503, body: { error: { code: 'SOAKP_BUSY' } } })
    t.strictSame([...versions], [isHttp2 ? '2.0' : '1.1'], 'all came by this way')
    await dispatcher.destroy()
    await Promise.all([held, waiting, elsewhere])
  })

  test(`over ${name}, a body too long, a call too long and strangers too many are refused in words`, async (t) => {
    const most = {
      SOAKP_BODY_BYTES: '100000',
      SOAKP_REFUSED_REQUESTS_PER_MINUTE: '3',
      SOAKP_FAILED_LOGINS_PER_MINUTE: '2',
    }
    const { soakp, upstream, ask, begin } = await startWay(t, way, most, { callMs: 600 })
    const tooLong = { method: 'POST', body: Buffer.alloc(100_001) }
    isRefused(t, await ask('/v1/x', tooLong), { status: 413, code: 'SOAKP_BODY_TOO_LARGE' })
    t.equal(upstream.requests.length, 0, 'it has cost the upstream nothing')
    t.equal((await ask('/v1/x', { ...tooLong, body: Buffer.alloc(100_000) })).status, 200)
    upstream.answer(({ line, wire }) => {
      if (line.includes('begun'))
        wire.write(answerText(['HTTP/1.1 200 OK', 'Transfer-Encoding: chunked'], '1\r\nx\r\n'))
    })
    const begun = begin('/v1/begun').then((answer) => answer.text())
    const cut = t.rejects(begun, 'one that has begun is cut')
    t.match(await ask('/v1/silent'), { status: 504, body: { error: { code: 'SOAKP_CALL_TOO_LONG' } } })
    await cut
    upstream.answer(({ wire }) => wire.write(OK))
    const wrong = { headers: bearer('wrong') }
    const statuses = [await ask('/soakp/keys', wrong), await ask('/soakp/keys', wrong), await ask('/soakp/keys', wrong)]
    t.same(
      statuses.map(({ status }) => status),
      [401, 401, 429],
      'wrong admin credentials',
    )
    t.equal((await ask('/v1/x', wrong)).status, 401)
    isRefused(t, await ask('/v1/x', wrong), { status: 429, code: 'SOAKP_LIMIT' })
    t.equal((await ask('/v1/x')).status, 200, 'good tokens of that network pass')
    t.equal(soakp.app.unsealed.liveCalls.size, 0)
  })

  test(`over ${name}, redirects are handed on, and of an answer's headers those of the account stay here`, async (t) => {
    const { upstream, ask } = await startWay(t, way)
    const passed = [
      'X-Request-Id: req_1',
      'Retry-After: 7',
      'X-RateLimit-Remaining-Tokens: 9',
      'OpenAI-Processing-Ms: 5',
    ]
    const kept = ['Set-Cookie: a=b', 'OpenAI-Organization: o', 'OpenAI-Project: p', 'Alt-Svc: h3=":443"', 'Server: s']
    kept.push('Strict-Transport-Security: max-age=1', 'Access-Control-Allow-Origin: *', 'Keep-Alive: timeout=5')
    for (const status of [301, 302, 303, 307, 308]) {
      const location = `Location: http://127.0.0.1:${new URL(upstream.url).port}/v1/elsewhere`
      const head = [`HTTP/1.1 ${status} There`, location, ...passed, ...kept, 'Content-Length: 0']
      upstream.answer(({ wire }) => wire.write(answerText(head)))
      const before = upstream.requests.length
      const answer = await ask('/v1/x')
      t.equal(answer.status, status)
      for (const line of [location, ...passed]) {
        const [key = '', value = ''] = line.split(/: (.*)/)
        t.equal(answer.headers.get(key), value, line)
      }
      t.strictSame(
        kept.filter((line) => line.endsWith(`: ${answer.headers.get(line.split(':')[0] ?? '')}`)),
        [],
      )
      t.equal(upstream.requests.length, before + 1, 'and never followed')
    }
  })

  test(`over ${name}, an answer that is cut short arrives cut short, and events leave one by one`, async (t) => {
    const { upstream, begin } = await startWay(t, way)
    for (const [frame, isReset] of [
      ['Content-Length: 99', false],
      ['Transfer-Encoding: chunked', false],
      ['Content-Type: text/event-stream', true],
    ] as const) {
      upstream.answer(({ wire }) => {
        wire.write(answerText(['HTTP/1.1 200 OK', frame], frame.startsWith('T') ? '4\r\npart\r\n' : 'part'))
      })
      const answer = await begin('/v1/x')
      const reader = answer.body?.getReader()
      t.equal(Buffer.from((await reader?.read())?.value ?? []).toString(), 'part')
      const { socket } = upstream.wires.at(-1) ?? {}
      if (isReset) socket?.resetAndDestroy()
      else socket?.end()
      await t.rejects(async () => void (await reader?.read()), frame)
    }
    const events = ['HTTP/1.1 200 OK', 'Content-Type: text/event-stream', 'Transfer-Encoding: chunked']
    upstream.answer(({ wire }) => wire.write(answerText(events)))
    const reader = (await begin('/v1/x')).body?.getReader()
    for (let index = 10; index < 30; index += 1) {
      // The next is not sent before this one came: what waited for more would wait for ever.
      upstream.wires.at(-1)?.write(`b\r\ndata: ${index}x\n\n\r\n`)
      t.equal(Buffer.from((await reader?.read())?.value ?? []).toString(), `data: ${index}x\n\n`)
    }
    const { socket } = upstream.wires.at(-1) ?? {}
    const closed = socket === undefined ? undefined : once(socket, 'close')
    await reader?.cancel()
    await closed
    t.pass('a client that leaves ends the upstream call')
  })

  test(`over ${name}, forged tokens get one and the same 401 and cost the upstream nothing`, async (t) => {
    const { soakp, upstream, id, token, ask } = await startWay(t, way)
    const revoked = await soakp.mint(id)
    await soakp.manage('DELETE', `/soakp/tokens/${revoked.id}`)
    const { key } = (await soakp.app.unsealed.secrets.find('token-signing/1')) as { key: string }
    const other = await soakp.saveKey({ key: 'sk-of-another-upstream-key' })
    const ids = { revoked: revoked.id, foreign: other.tokenId, foreignKey: other.id }
    const { forged } = forgeries({ token, signingKey: Buffer.from(key, 'base64url'), ids })
    const sendable = [...forged.values()].map(String).filter((each) => /^[\x21-\x7e]{1,8000}$/.test(each))
    const shapes = new Set<string>()
    for (const each of sendable) {
      const { status, body } = await ask('/v1/x', { headers: bearer(each) })
      shapes.add(JSON.stringify([status, body]))
    }
    t.ok(sendable.length > 100, `${sendable.length} forged tokens`)
    t.equal(shapes.size, 1)
    t.match([...shapes][0], /^\[401,.*SOAKP_TOKEN_REFUSED/)
    t.equal(upstream.wires.length, 0, 'not even a connection')
  })
}

for (const [name, mode] of [
  ['plain HTTP', PLAIN],
  ['TLS', {}],
] as const) {
  test(`over ${name}, 100 Continue is said once the token was found good, and to nobody else`, async (t) => {
    const { soakp, upstream, token } = await startWay(t, [name, mode, false])
    const lines = ['POST /v1/x HTTP/1.1', 'Expect: 100-continue', 'Content-Length: 4']
    for (const credential of ['none', `x${token}`, undefined]) {
      const line = credential === undefined ? [] : [`Authorization: Bearer ${credential}`]
      t.match(await exchange(t, soakp, [...lines, ...line]), /^HTTP\/1\.1 401 /)
    }
    t.equal(upstream.wires.length, 0)
    const wire = await send(t, soakp, token, lines)
    t.equal(await wire.until(/\r\n\r\n/), 'HTTP/1.1 100 Continue\r\n\r\n')
    wire.write('body')
    await wire.until(/ok$/)
    t.equal(await upstream.requests[0]?.body(), 'body')
  })
}
