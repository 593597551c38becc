import { test } from 'tap'
import type { Test } from 'tap'
import { RAW_KEY, startPassing } from './support/passing.ts'
import { PLAIN } from './support/refusals.ts'
import { startSoakp } from './support/soakp.ts'
import type { TestSoakp } from './support/soakp.ts'
import { HANDSHAKE, switchingText } from './support/sockets.ts'
import { eventually, openWire, requestText } from './support/wire.ts'

/** Sends a handshake of these lines and returns what came back until the head of an answer is whole. */
async function shake(t: Test, soakp: TestSoakp, lines: readonly string[], path = '/v1/realtime'): Promise<string> {
  const wire = await openWire(t, soakp)
  wire.write(requestText([`GET ${path} HTTP/1.1`, ...lines]))
  const text = await wire.until(/\r\n\r\n/)
  return text.startsWith('HTTP/1.1 101') ? text : wire.over()
}

const TLS = {}
for (const [mode, environment] of [
  ['plain HTTP', PLAIN],
  ['TLS', TLS],
] as const) {
  test(`over ${mode}, what is not let in costs the upstream no connection`, async (t) => {
    const soakp = await startSoakp(t, environment)
    const { id, token } = await soakp.saveKey()
    const own = [...HANDSHAKE, `Authorization: Bearer ${token}`]
    const mintWith = async (extra: Record<string, unknown>) => {
      const { token: minted } = await soakp.mint(id, extra)
      return [...HANDSHAKE, `Authorization: Bearer ${minted}`]
    }
    const protocols = (value: string) => `Sec-WebSocket-Protocol: ${value}`
    const without = (name: string) => own.filter((line) => !line.startsWith(name))
    const hurried = await mintWith({ limits: { requests_per_minute: 1 } })
    await shake(t, soakp, hurried, '/v1/realtime')
    const cases: readonly [name: string, lines: readonly string[], answer: RegExp][] = [
      ['no credential', HANDSHAKE, /^HTTP\/1\.1 401 .*SOAKP_TOKEN_/s],
      ['a bad token', [...HANDSHAKE, 'Authorization: Bearer x.y.z'], /^HTTP\/1\.1 401 .*SOAKP_TOKEN_REFUSED/s],
      [
        'a bad token by subprotocol',
        [...HANDSHAKE, protocols('realtime, openai-insecure-api-key.x')],
        /^HTTP\/1\.1 401 .*SOAKP_TOKEN_REFUSED/s,
      ],
      [
        'a path out of scope',
        await mintWith({ scope: { paths: ['/models'] } }),
        /^HTTP\/1\.1 403 .*SOAKP_SCOPE_REFUSED/s,
      ],
      ['a foreign page', [...own, 'Origin: https://evil.example'], /^HTTP\/1\.1 403 .*SOAKP_ORIGIN_REFUSED/s],
      ['no page', await mintWith({ origins: ['https://a.example'] }), /^HTTP\/1\.1 403 .*SOAKP_ORIGIN_REFUSED/s],
      ['too many a minute', hurried, /^HTTP\/1\.1 429 .*retry-after: \d+.*SOAKP_LIMIT/is],
      ['no key', without('Sec-WebSocket-Key'), /^HTTP\/1\.1 400 .*SOAKP_HANDSHAKE_INVALID/s],
      ['a short key', [...without('Sec-WebSocket-Key'), 'Sec-WebSocket-Key: YQ=='], /^HTTP\/1\.1 400 /],
      ['no version', without('Sec-WebSocket-Version'), /^HTTP\/1\.1 426 .*sec-websocket-version: 13/is],
      ['version 8', [...without('Sec-WebSocket-Version'), 'Sec-WebSocket-Version: 8'], /^HTTP\/1\.1 426 /],
      ['a body', [...own, 'Content-Length: 3'], /^HTTP\/1\.1 400 .*SOAKP_HANDSHAKE_INVALID/s],
      ['a chunked body', [...own, 'Transfer-Encoding: chunked'], /^HTTP\/1\.1 400 .*SOAKP_HANDSHAKE_INVALID/s],
      ['a subprotocol twice', [...own, protocols('a, a')], /^HTTP\/1\.1 400 .*SOAKP_HANDSHAKE_INVALID/s],
      ['a subprotocol that is no name', [...own, protocols('a b')], /^HTTP\/1\.1 400 .*SOAKP_HANDSHAKE_INVALID/s],
    ]
    soakp.upstream.clear()
    const before = soakp.upstream.openConnections()
    for (const [name, lines, answer] of cases) t.match(await shake(t, soakp, lines), answer, name)
    t.strictSame([soakp.upstream.requests.length, soakp.upstream.openConnections()], [0, before])
    t.equal(soakp.app.unsealed.liveCalls.size, 1, 'the one that was let in before')
  })

  test(`over ${mode}, other upgrades are ignored, and one on any path has an answer`, async (t) => {
    const soakp = await startSoakp(t, environment)
    const { token } = await soakp.saveKey()
    const authorization = `Authorization: Bearer ${token}`
    const h2c = ['Connection: Upgrade, HTTP2-Settings', 'Upgrade: h2c', 'HTTP2-Settings: AAMAAABkAAQAAP__']
    const body = '{"model":"m","input":"Hello"}'
    const json = ['Content-Type: application/json', `Content-Length: ${body.length}`]
    const cases: readonly [name: string, lines: readonly string[], body: string, answer: RegExp][] = [
      ['h2c', ['GET /v1/models HTTP/1.1', ...h2c, authorization], '', /^HTTP\/1\.1 200 .*"object": "list"/s],
      ['h2c with a body', ['POST /v1/embeddings HTTP/1.1', ...h2c, ...json, authorization], body, /^HTTP\/1\.1 200 /],
      [
        'another',
        ['GET /v1/models HTTP/1.1', 'Connection: Upgrade', 'Upgrade: foo/2', authorization],
        '',
        /^HTTP\/1\.1 200 /,
      ],
      ['without a token', ['GET /v1/models HTTP/1.1', ...h2c], '', /^HTTP\/1\.1 401 /],
      ['POST', ['POST /v1/embeddings HTTP/1.1', ...HANDSHAKE, ...json, authorization], body, /^HTTP\/1\.1 200 /],
      ['HTTP/1.0', ['GET /v1/realtime HTTP/1.0', ...HANDSHAKE, authorization], '', /^HTTP\/1\.1 404 .*Invalid URL/s],
      ['health', ['GET /soakp/health HTTP/1.1', ...HANDSHAKE], '', /^HTTP\/1\.1 200 .*"status":"ok"/s],
      ['me', ['GET /soakp/me HTTP/1.1', ...HANDSHAKE, authorization], '', /^HTTP\/1\.1 200 .*token/s],
      [
        'management',
        ['GET /soakp/keys HTTP/1.1', ...HANDSHAKE, authorization],
        '',
        /^HTTP\/1\.1 401 .*SOAKP_ADMIN_REFUSED/s,
      ],
      [
        'nothing there',
        ['GET /realtime HTTP/1.1', ...HANDSHAKE, authorization],
        '',
        /^HTTP\/1\.1 404 .*SOAKP_NOT_FOUND/s,
      ],
    ]
    // Before Node 22.21 and 24.9 every upgrade came to the listener.
    for (const age of ['', ', with an older Node']) {
      if (age !== '') Object.assign(soakp.app.server, { shouldUpgradeCallback: () => true })
      for (const [name, lines, text, answer] of cases) {
        const wire = await openWire(t, soakp)
        wire.write(requestText(lines, text))
        t.match(await wire.until(answer), answer, name + age)
        // An ordinary answer leaves the connection as it was; one to a WebSocket handshake ends it.
        if (/^GET .*1\.1$/.test(lines[0] ?? '') && lines.includes('Upgrade: websocket')) await wire.over()
      }
      const wire = await openWire(t, soakp)
      const first = requestText(['GET /v1/models HTTP/1.1', authorization])
      wire.write(first + requestText(['GET /v1/realtime HTTP/1.1', ...HANDSHAKE, authorization]))
      await wire.over()
      t.equal((await soakp.call('GET', '/soakp/health')).status, 200, 'an upgrade behind a request harms nobody')
    }
  })
}

test('a client that leaves while the upstream is connected to ends that, and nothing is kept', async (t) => {
  const passing = await startPassing(t)
  const { soakp, upstream, authorization } = passing
  upstream.answer(() => undefined)
  for (const leave of ['end', 'resetAndDestroy', 'destroy'] as const) {
    const wire = await openWire(t, soakp)
    wire.write(requestText(['GET /v1/realtime HTTP/1.1', ...HANDSHAKE, authorization]))
    await eventually('the upstream is asked', () => upstream.openConnections() === 1)
    t.equal(soakp.app.unsealed.liveCalls.size, 1)
    wire.socket[leave]()
    await eventually('the end of the upstream connection', () => upstream.openConnections() === 0)
    await eventually('the end of the call', () => soakp.app.unsealed.liveCalls.size === 0)
  }
  t.equal(passing.logs.filter((line) => line.includes('"end":"client gone"')).length, 3)
})

test('a client that ended its own side before its 101 left its connection here for ever', async (t) => {
  const { soakp, upstream, authorization } = await startPassing(t)
  upstream.answer(() => undefined)
  const wire = await openWire(t, soakp, true)
  wire.write(requestText(['GET /v1/realtime HTTP/1.1', ...HANDSHAKE, authorization]))
  await eventually('the upstream is asked', () => upstream.openConnections() === 1)
  wire.socket.end()
  t.equal(await wire.over(), '')
})

test('credentials are replaced, and everything else arrives byte for byte', async (t) => {
  const { soakp, upstream, authorization } = await startPassing(t)
  upstream.answer(({ wire, headers }) => wire.write(switchingText(headers)))
  const token = authorization.split(' ').at(-1) ?? ''
  const { id } = await soakp.saveKey({ key: RAW_KEY, organization: 'org-of-the-key' })
  const { token: other } = await soakp.mint(id)

  async function seen(path: string, lines: readonly string[]) {
    t.match(await shake(t, soakp, [...HANDSHAKE, ...lines], path), /^HTTP\/1\.1 101 /)
    const { line, headers } = upstream.requests.at(-1) ?? { line: '', headers: [] }
    const all = headers.flatMap((name, at) => (at % 2 === 0 ? [`${name}: ${headers[at + 1]}`] : []))
    return {
      line,
      lines: all.filter((each) => !/^(?:host|connection|upgrade|sec-websocket-(?:key|version)):/i.test(each)),
    }
  }

  const query = "?model=a%20b&x='%7e|&call_id=rtc_%2F&y"
  const header = await seen(`/v1/realtime${query}`, [
    authorization,
    'OpenAI-Beta: realtime=v1',
    'X-New: one',
    'x-new: two',
    'constructor: a',
    '__proto__: b',
    'Content-Length: 0',
    'Cookie: session=1',
    'User-Agent: somebody/1.0',
    'Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits',
    'X-Forwarded-For: 10.0.0.1',
  ])
  t.equal(header.line, `GET /v1/realtime${query} HTTP/1.1`)
  t.strictSame(header.lines.toSorted(), [
    `Authorization: Bearer ${RAW_KEY}`,
    'OpenAI-Beta: realtime=v1',
    'User-Agent: somebody/1.0',
    'X-New: one',
    'X-New: two',
    '__proto__: b',
    'constructor: a',
  ])

  const protocols = [
    'realtime',
    `openai-insecure-api-key.${token}`,
    'openai-organization.org-1',
    'openai-project.proj_1',
    'openai-beta.realtime-v1',
  ].join(', ')
  const page = await seen('/openai/live/sessions', [`Sec-WebSocket-Protocol: ${protocols}`, 'Origin: http://localhost'])
  t.equal(page.line, 'GET /v1/live/sessions HTTP/1.1')
  t.strictSame(page.lines.toSorted(), [
    `Authorization: Bearer ${RAW_KEY}`,
    'OpenAI-Organization: org-1',
    'OpenAI-Project: proj_1',
    'Sec-WebSocket-Protocol: realtime,openai-beta.realtime-v1',
  ])

  const kept = await seen('/v1/responses', [
    `Sec-WebSocket-Protocol: ${protocols.replace(token, other)}`,
    'OpenAI-Organization: org-2',
  ])
  t.same(
    kept.lines.filter((each) => /^openai-/i.test(each)),
    ['OpenAI-Organization: org-of-the-key', 'OpenAI-Project: proj_1'],
    'what was saved with the key wins',
  )
  t.equal((await seen('/v1', [authorization])).line, 'GET /v1 HTTP/1.1')
  t.equal((await seen('/v1/new/endpoint/', [authorization])).line, 'GET /v1/new/endpoint/ HTTP/1.1')
})

test('of the subprotocols, the client gets the one that the upstream chose, and no other', async (t) => {
  const { soakp, upstream, authorization } = await startPassing(t)
  const token = authorization.split(' ').at(-1) ?? ''
  const offered = `Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.${token}, second`
  for (const chosen of ['realtime', 'second', undefined]) {
    const lines = chosen === undefined ? [] : [`Sec-WebSocket-Protocol: ${chosen}`]
    upstream.answer(({ wire, headers }) => wire.write(switchingText(headers, lines)))
    const answer = await shake(t, soakp, [...HANDSHAKE, offered])
    t.equal(/^sec-websocket-protocol: (.*)$/im.exec(answer)?.[1]?.trim(), chosen)
    t.notMatch(answer, /api-key|extensions/i)
  }
})
