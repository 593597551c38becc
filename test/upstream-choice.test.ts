import { connect as connectHttp2 } from 'node:http2'
import { test } from 'tap'
import type { Test } from 'tap'
import { OK, RAW_KEY } from './support/passing.ts'
import { PLAIN } from './support/refusals.ts'
import { startSoakp } from './support/soakp.ts'
import { HANDSHAKE, switchingText } from './support/sockets.ts'
import { answerText, exchange, requestText, openWire, startRawUpstream } from './support/wire.ts'

/** A SOAKP whose key is for one upstream, beside another server that callers try to reach. */
async function startBesideDecoy(t: Test, environment: Record<string, string> = PLAIN) {
  const [upstream, decoy] = await Promise.all([startRawUpstream(t), startRawUpstream(t)])
  const soakp = await startSoakp(t, { ...environment, SOAKP_UPSTREAM: upstream.url })
  const { token } = await soakp.saveKey({ key: RAW_KEY })
  upstream.answer(({ wire, headers }) => {
    wire.write(headers.some((each) => each.toLowerCase() === 'upgrade') ? switchingText(headers) : OK)
  })
  return {
    soakp,
    upstream,
    token,
    authorization: `Authorization: Bearer ${token}`,
    decoy: new URL(decoy.url).host,
    reached: decoy.wires,
  }
}

/** Targets that name another place, or lead out of the upstream's base path, where a URL parser looks at them. */
const targetsTo = (decoy: string) => [
  `http://${decoy}/v1/x`,
  `http://localhost@${decoy}/v1/x`,
  `//${decoy}/v1/x`,
  `/v1/..//${decoy}/x`,
  `/v1//${decoy}/x`,
  `/v1/@${decoy}/x`,
  `/v1@${decoy}/x`,
  `/v1/../x`,
  `/v1/%2e%2e/x`,
  `/v1/%2E./x`,
  `/v1/.%2e/x`,
  `/v1/%252e%252e/x`,
  `/v1/a/..%2f..%2fx`,
  `/v1/..%5c..%5cx`,
  `/v1/..;/x`,
  `/v1\\..\\x`,
  `/v1/x?url=http://${decoy}/`,
  `/v1/http://${decoy}/x`,
  `/v1#@${decoy}/`,
]

/** Headers by which front servers are told where a request was sent to. */
const headersTo = (decoy: string) => [
  `X-Forwarded-Host: ${decoy}`,
  `X-Forwarded-Server: ${decoy}`,
  `X-Forwarded-Port: ${decoy.split(':')[1]}`,
  `X-Forwarded-Proto: http`,
  `X-Forwarded-Prefix: //${decoy}`,
  `X-Host: ${decoy}`,
  `X-HTTP-Host-Override: ${decoy}`,
  `X-Original-URL: http://${decoy}/v1/x`,
  `X-Rewrite-URL: http://${decoy}/v1/x`,
  `Forwarded: for=1.2.3.4;host=${decoy};proto=http`,
  `Proxy-Connection: keep-alive`,
  `Destination: http://${decoy}/`,
]

for (const [mode, environment] of Object.entries({ 'plain HTTP': PLAIN, TLS: {} })) {
  test(`over ${mode}, the upstream cannot be chosen by the caller: targets, Host, X-Forwarded-*, for calls and for WebSockets`, async (t) => {
    const { soakp, upstream, authorization, decoy, reached } = await startBesideDecoy(t, environment)
    const { host } = new URL(upstream.url)

    /** Sends one request; returns the requests that reached the upstream. */
    async function arrived(target: string, hostLine: string, lines: readonly string[], isSocket: boolean) {
      const before = upstream.requests.length
      const wire = await openWire(t, soakp)
      const last = isSocket ? HANDSHAKE : ['Connection: close']
      wire.write([`GET ${target} HTTP/1.1`, hostLine, ...lines, ...last, authorization, '', ''].join('\r\n'))
      const answer = await wire.until(/\r\n\r\n/)
      const isPassed = /^HTTP\/1\.1 (?:101|200) /.test(answer)
      t.ok(isPassed || /^HTTP\/1\.1 4\d\d /.test(answer), `${target}: ${answer.slice(0, 12)}`)
      wire.socket.destroy()
      const requests = upstream.requests.slice(before)
      t.equal(requests.length, isPassed ? 1 : 0, target)
      return requests
    }

    const tries = [
      ...targetsTo(decoy).map((target) => [target, 'Host: localhost', []] as const),
      ...headersTo(decoy).map((line) => ['/v1/x', 'Host: localhost', [line]] as const),
      ['/v1/x', `Host: ${decoy}`, []],
      ['/v1/x', `Host: user:password@${decoy}`, []],
      ['/v1/x', `Host: ${decoy}`, headersTo(decoy)],
    ] as const
    for (const isSocket of [false, true]) {
      let passed = 0
      for (const [target, hostLine, lines] of tries) {
        for (const { line, headers } of await arrived(target, hostLine, lines, isSocket)) {
          passed += 1
          const [, path = ''] = line.split(' ')
          t.ok(path.startsWith('/v1/'), `${path} is below the base URL`)
          t.notOk(isOutside(path), `${path} stays there`)
          const names = headers.filter((_each, index) => index % 2 === 0).map((name) => name.toLowerCase())
          t.strictSame(
            headers.filter((_each, index) => names[(index - 1) / 2] === 'host'),
            [host],
            'with its own Host',
          )
          t.notOk(
            names.some((name) => /^x-forwarded-|^forwarded$/.test(name)),
            'no header that says otherwise',
          )
        }
      }
      t.ok(passed >= headersTo(decoy).length, `${passed} of ${tries.length} passed on`)
    }
    t.equal(reached.length, 0, 'nobody connected to the other server')
  })
}

/** Whether a server that decodes before it resolves dots would leave `/v1`. */
function isOutside(path: string): boolean {
  const [decoded = ''] = path
    .replaceAll(/%2e/gi, '.')
    .replaceAll(/%2f/gi, '/')
    .replaceAll(/%5c|\\/gi, '/')
    .split('?')
  return !new URL(`http://upstream.test${decoded.replaceAll(/\/\/+/g, '/')}`).pathname.startsWith('/v1')
}

test('the upstream cannot be chosen by subprotocols, and those that carry credentials stay here', async (t) => {
  const { soakp, upstream, token, decoy, reached } = await startBesideDecoy(t)
  const offers = [
    `realtime, openai-insecure-api-key.${token}`,
    `realtime, http://${decoy}/, openai-insecure-api-key.${token}`,
  ]
  offers.push(`openai-insecure-api-key.${token}, realtime, host.${decoy}, openai-organization.a@${decoy}`)
  for (const offer of offers) {
    const wire = await openWire(t, soakp)
    wire.write(requestText(['GET /v1/realtime HTTP/1.1', ...HANDSHAKE, `Sec-WebSocket-Protocol: ${offer}`]))
    await wire.until(/\r\n\r\n/)
    wire.socket.destroy()
  }
  t.ok(upstream.requests.length >= 1)
  for (const { line, headers } of upstream.requests) {
    t.equal(line, 'GET /v1/realtime HTTP/1.1')
    t.notOk(headers.some((each) => each.includes(token)))
  }
  t.equal(reached.length, 0)
})

test('over HTTP/2 the upstream cannot be chosen by :authority, :scheme or :path', async (t) => {
  const { soakp, upstream, token, decoy, reached } = await startBesideDecoy(t, {})
  const session = connectHttp2(soakp.address, { ca: soakp.authority ?? '' })
  t.teardown(() => session.destroy())
  const authorization = `Bearer ${token}`
  const tries: Record<string, string>[] = [{ ':authority': decoy }, { ':scheme': 'http', ':authority': decoy }]
  for (const target of targetsTo(decoy)) tries.push({ ':path': target })
  for (const line of headersTo(decoy).filter((each) => !each.startsWith('Proxy-'))) {
    const [name = '', value = ''] = line.split(/: (.*)/)
    tries.push({ [name.toLowerCase()]: value })
  }
  for (const headers of tries) {
    const stream = session.request({ ':path': '/v1/x', authorization, ...headers })
    stream.on('error', () => undefined).resume()
    await new Promise((resolve) => stream.once('close', resolve))
  }
  t.ok(upstream.requests.length > 10)
  for (const { line } of upstream.requests) t.match(line, /^GET \/v1[/?]/)
  t.notOk(upstream.requests.some(({ line }) => isOutside(line.split(' ')[1] ?? '')))
  t.equal(reached.length, 0)
})

test('redirects are handed on as they are, and never followed with the key', async (t) => {
  const { soakp, upstream, authorization, decoy, reached } = await startBesideDecoy(t)
  for (const status of [300, 301, 302, 303, 305, 307, 308]) {
    const location = `Location: http://${decoy}/v1/x`
    const redirect = answerText([`HTTP/1.1 ${status} There`, location, 'Content-Length: 0'])
    upstream.answer(({ wire }) => wire.write(redirect))
    for (const method of ['GET', 'POST']) {
      const before = upstream.requests.length
      const body = method === 'POST' ? ['Content-Length: 0'] : []
      const answer = await exchange(t, soakp, [`${method} /v1/x HTTP/1.1`, ...body, authorization])
      t.ok(answer.startsWith(`HTTP/1.1 ${status} There\r\n${location}\r\n`), `${method} ${status}`)
      t.equal(upstream.requests.length, before + 1)
    }
    const wire = await openWire(t, soakp)
    wire.write(requestText(['GET /v1/realtime HTTP/1.1', ...HANDSHAKE, authorization]))
    t.ok((await wire.over()).startsWith(`HTTP/1.1 ${status} `), `WebSocket ${status}`)
  }
  t.equal(reached.length, 0)
})
