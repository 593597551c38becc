import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import { OK, startPassing } from './support/passing.ts'
import { ROOT } from './support/process.ts'
import { PLAIN, bearer, isRefused } from './support/refusals.ts'
import { ADMIN, startSoakp } from './support/soakp.ts'
import { HANDSHAKE } from './support/sockets.ts'
import { answerText, exchange, openWire, requestText, startRawUpstream } from './support/wire.ts'

/** Source without comments, file by file. */
async function sources(): Promise<Map<string, string>> {
  const files = ['fastify.config.ts', 'index.ts']
  for (const room of ['cli', 'plugins', 'routes', 'services']) {
    const entries = await readdir(join(ROOT, room), { recursive: true })
    files.push(...entries.filter((entry) => entry.endsWith('.ts')).map((entry) => join(room, entry)))
  }
  const texts = await Promise.all(files.map((file) => readFile(join(ROOT, file), 'utf8')))
  return new Map(files.map((file, index) => [file, (texts[index] ?? '').replaceAll(/\/\*[\s\S]*?\*\/|\/\/.*/g, '')]))
}

test('what was found to be dangerous in packages is not used', async (t) => {
  const dangers: Record<string, RegExp> = {
    'CVE-2026-21637: a throwing SNICallback ends the process': /SNICallback/,
    'CVE-2026-21710: headersDistinct throws on __proto__': /(?:headers|trailers)Distinct/,
    'GHSA-3qgw-9275-xf8w: handlerTimeout ends the process in a stream': /handlerTimeout/,
    'GHSA-667r-xxjv-c9mm: an asynchronous schema replaces the body': /\$async/,
    'CVE-2022-36083 and CVE-2024-28176: costly or zipped tokens': /PBES2(?!.*refus)|\bzip\s*:/i,
    'CVE-2026-22036: an interceptor that decodes without limit': /interceptors\.|decompress\(/,
    'CVE-2025-12816, CVE-2025-66031 and GHSA-2328-f5f3-gj25: certificates read by forge':
      /node-forge|acme-client.*forge|acme\.forge/,
    'CVE-2026-35041: claims compared by pattern': /allowed(?:Iss|Aud|Sub|Jti|Nonce)[^\n]*\//,
    'GHSA-rp9m: a token cache with keys of one’s own': /cacheKeyBuilder/,
    'a database that leaves unencrypted by serialize, or by backup':
      /\b(?:database|connection|db|store)\.(?:serialize|backup)\(/,
    'a log that waits for a full disk for ever': /flushSync|log\.fatal/,
    'SQL that is not a parameter of its statement': /sql\.(?:raw|lit)\b/,
  }
  const texts = await sources()
  t.ok(texts.size > 100, 'the sources are found')
  for (const [danger, pattern] of Object.entries(dangers)) {
    const users = [...texts].flatMap(([file, text]) => (pattern.test(text) ? [file] : []))
    t.strictSame(users, [], danger)
  }
})

test('CVE-2026-3635: who is no trusted proxy is believed neither host nor scheme', async (t) => {
  const soakp = await startSoakp(t, { ...PLAIN, SOAKP_TRUSTED_PROXIES: '10.0.0.0/8' })
  const headers = {
    ...bearer(ADMIN),
    origin: 'https://evil.example',
    'x-forwarded-host': 'evil.example',
    'x-forwarded-proto': 'https',
    forwarded: 'host=evil.example;proto=https',
  }
  const answer = await soakp.call('GET', '/soakp/keys', { headers })
  isRefused(t, answer, { status: 403, code: 'SOAKP_ORIGIN_REFUSED' })
})

test('CVE-2026-21710: a header named __proto__ is a header like others', async (t) => {
  const { soakp, pass } = await startPassing(t)
  const { request } = await pass(['GET /v1/x HTTP/1.1', '__proto__: 1', 'constructor: 2'])
  t.strictSame(request.headers.slice(-4), ['__proto__', '1', 'constructor', '2'])
  t.match(await exchange(t, soakp, ['GET /soakp/health HTTP/1.1', '__proto__: 1']), /^HTTP\/1\.1 200 /)
})

test('GHSA-v2v2-hph8-q5xp: a body passes as it is, whatever its type claims', async (t) => {
  const { pass } = await startPassing(t)
  const body = '{ "a":1e400,"a":[9007199254740993], "__proto__":{} }trailing\xff'
  for (const type of [
    'application/json',
    'application/json ; charset=x',
    ' application/json',
    'text/plain',
    'a/b+json',
  ]) {
    const lines = ['POST /v1/x HTTP/1.1', `Content-Type: ${type}`, `Content-Length: ${body.length}`]
    t.equal((await pass(lines, { body })).body, body, type)
  }
})

test('CVE-2026-25223, CVE-2026-3419, CVE-2026-33806 and CVE-2025-32442: no spelling of a content type avoids the checks of a route', async (t) => {
  const soakp = await startSoakp(t, PLAIN)
  const body = '{"key":"sk-0123456789abcdef","surprise":1}'
  for (const type of [
    'application/json\ta',
    'application/json garbage',
    ' application/json',
    'APPLICATION/json;',
    'application/json;x',
  ]) {
    const lines = [`Content-Type: ${type}`, `Content-Length: ${body.length}`, `Authorization: Bearer ${ADMIN}`]
    t.match(await exchange(t, soakp, ['POST /soakp/keys HTTP/1.1', ...lines], body), /^HTTP\/1\.1 4(?:00|15) /, type)
  }
  t.strictSame((await soakp.manage('GET', '/soakp/keys')).body.data, [])
})

test('CVE-2024-37890: a WebSocket handshake with thousands of headers ends nothing', async (t) => {
  const { soakp, authorization, upstream } = await startPassing(t)
  const many = Array.from({ length: 2_100 }, (_, index) => `x${index.toString(36)}:`)
  const wire = await openWire(t, soakp)
  wire.write(requestText(['GET /v1/realtime HTTP/1.1', ...many, ...HANDSHAKE, authorization]))
  t.notMatch(await wire.over(), /^HTTP\/1\.1 (?:1|5)/)
  t.equal(upstream.requests.length, 0)
  t.equal((await soakp.call('GET', '/soakp/health')).status, 200)
})

test('CVE-2026-42208 and the soakp of 2023: SQL in a credential or an id is a wrong credential or id', async (t) => {
  const soakp = await startSoakp(t, PLAIN)
  const { token } = await soakp.saveKey()
  for (const sql of [
    "' or '1'='1",
    "'; drop table tokens; --",
    "x' union select * from keys --",
    `${token}' --`,
    '" or ""="',
  ]) {
    const encoded = encodeURIComponent(sql)
    for (const [path, credential] of [
      ['/v1/models', sql],
      ['/soakp/keys', sql],
      ['/soakp/me', sql],
    ] as const) {
      t.equal((await soakp.call('GET', path, { headers: bearer(credential) })).status, 401, `${path} ${sql}`)
    }
    for (const path of [`/soakp/keys/${encoded}`, `/soakp/tokens/${encoded}`]) {
      t.match((await soakp.manage('GET', path)).status, /^(?:400|404|414)$/, path)
    }
  }
  t.equal((await soakp.call('GET', '/v1/models', { headers: bearer(token) })).status, 200)
  t.equal(soakp.upstream.requests.length, 1)
})

test('the soakp of 2023 mixed callers up: here each of many at once has the key of its own token', async (t) => {
  const upstream = await startRawUpstream(t)
  upstream.answer(({ line, headers, wire }) => {
    const key = headers[headers.findIndex((name) => name.toLowerCase() === 'authorization') + 1] ?? ''
    const answer = `${line.split(' ')[1]} ${key.replace('Bearer sk-of-', '')}`
    wire.write(answerText(['HTTP/1.1 200 OK', `Content-Length: ${answer.length}`], answer))
  })
  const soakp = await startSoakp(t, { ...PLAIN, SOAKP_UPSTREAM: upstream.url })
  const callers = await Promise.all(
    [1, 2, 3, 4, 5].map(async (caller) => ({
      caller,
      ...(await soakp.saveKey({ key: `sk-of-caller-number-${caller}` })),
    })),
  )
  const calls = Array.from({ length: 200 }, (_, index) => callers[index % callers.length] ?? fail())
  const answers = await Promise.all(
    calls.map(({ token, caller }) => soakp.call('GET', `/v1/${caller}`, { headers: bearer(token) })),
  )
  t.strictSame(
    answers.map(({ body }) => body),
    calls.map(({ caller }) => `/v1/${caller} caller-number-${caller}`),
  )
})

test('a 503 with Retry-After is one upstream call, and comes back at once', async (t) => {
  const { pass } = await startPassing(t)
  const answer = OK.replace('200 OK', '503 Busy\r\nRetry-After: 1')
  t.match((await pass(['GET /v1/x HTTP/1.1'], { answer })).answer, /^HTTP\/1\.1 503 Busy\r\nRetry-After: 1\r\n/)
})

test('OPTIONS of everything and a tunnel lead nowhere', async (t) => {
  const { soakp, authorization, upstream } = await startPassing(t)
  t.match(await exchange(t, soakp, ['OPTIONS * HTTP/1.1', authorization]), /^HTTP\/1\.1 404 .*SOAKP_NOT_FOUND/s)
  const wire = await openWire(t, soakp)
  wire.write(requestText(['CONNECT 127.0.0.1:443 HTTP/1.1', authorization]))
  t.notMatch(await wire.over(), /^HTTP\/1\.1 2/)
  t.equal(upstream.wires.length, 0)
})

test('whatever a client writes as Host, the upstream gets its own', async (t) => {
  const { soakp, authorization, upstream } = await startPassing(t)
  const { host } = new URL(upstream.url)
  for (const sent of ['', 'a, b', 'a/../b@c:99999', 'evil.example', '169.254.169.254', '[::1']) {
    const wire = await openWire(t, soakp)
    wire.write(['GET /v1/x HTTP/1.1', `Host: ${sent}`, authorization, 'Connection: close', '', ''].join('\r\n'))
    t.match(await wire.over(), /^HTTP\/1\.1 200 .*ok$/s, sent)
    t.strictSame(upstream.requests.at(-1)?.headers.slice(0, 2), ['host', host], sent)
  }
})

test('the failure of a WebSocket to a name that is too long for a close reason is a refusal in words', async (t) => {
  const soakp = await startSoakp(t, PLAIN)
  const name = `${'a'.repeat(60)}.${'b'.repeat(60)}.${'c'.repeat(60)}.invalid`
  const { token } = await soakp.saveKey({ base_url: `https://${name}/v1` })
  const answer = await exchange(t, soakp, [
    'GET /v1/realtime HTTP/1.1',
    ...HANDSHAKE.filter((line) => !line.startsWith('Connection')),
    `Authorization: Bearer ${token}`,
    'Connection: Upgrade',
  ])
  t.match(answer, /^HTTP\/1\.1 502 .*SOAKP_UPSTREAM_UNREACHABLE/s)
  t.notMatch(answer, 'invalid', 'and does not repeat the name')
  t.equal((await soakp.call('GET', '/soakp/health')).status, 200)
})

function fail(): never {
  throw new Error('unreachable')
}
