import { test } from 'tap'
import { headerValues, reasonPhrase, requestHeaders, responseHeaders } from '../../services/headers.ts'
import { createLeakGuard } from '../../services/leak-guard.ts'

const credentials = { authorization: 'Bearer sk-real-key' }
const OURS = ['Authorization', 'Bearer sk-real-key']
const toRaw = (headers: readonly string[]) => headers.map((each) => Buffer.from(each, 'latin1'))
const words = (text: string) => text.trim().split(/\s+/)
/** Reads lines of `name: value` into a flat list. */
const toList = (text: string) =>
  text
    .trim()
    .split(/\n +/)
    .flatMap((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()])

test('request headers go on in their order and spelling, twice and empty ones too', (t) => {
  const raw = toList(`
    content-TYPE: application/json
    X-New-Feature: 1
    x-empty:
    X-New-Feature: 2
    OpenAI-Beta: assistants=v2
    Content-Length: 12
    accept-encoding: gzip, br
    X-Stainless-Lang: js
    OpenAI-Organization: org-client
    traceparent: 00-1
    x-latin: caf\u00e9
    Range: bytes=0-1
    security: does not begin with sec-
    accessible: nor with access-control-
    toe: is not te`)
  t.equal(raw.length, 30)
  t.same(requestHeaders(raw, credentials), [...OURS, ...raw])
  t.same(requestHeaders([], credentials), OURS)
  t.end()
})

test('credentials, cookies, forwarding, browser context and hop-by-hop headers of a request stay here', (t) => {
  const names = words(`connection keep-alive proxy-connection te trailer transfer-encoding upgrade expect http2-settings
    host authorization proxy-authorization proxy-authenticate cookie cookie2 api-key x-api-key forwarded via
    x-forwarded-for x-forwarded-host x-forwarded-port x-forwarded-proto x-forwarded-server x-real-ip x-client-ip
    x-cluster-client-ip cf-connecting-ip true-client-ip x-original-url x-rewrite-url x-http-method-override x-http-method
    x-method-override origin referer dnt sec-fetch-mode sec-ch-ua sec-gpc sec-websocket-protocol sec-anything-new
    access-control-request-method access-control-request-headers access-control-anything`)
  for (const name of names) {
    for (const spelling of [name, name.toUpperCase(), name.replaceAll(/\b[a-z]/g, (letter) => letter.toUpperCase())]) {
      const raw = ['accept', '*/*', spelling, 'value', 'X-Last', '1']
      t.same(requestHeaders(raw, credentials), [...OURS, 'accept', '*/*', 'X-Last', '1'], spelling)
    }
  }
  t.same(requestHeaders([':method', 'GET', ':authority', 'x', 'a', 'b'], credentials), [...OURS, 'a', 'b'])
  t.end()
})

test('what a Connection header lists stays here, but it takes neither our credential nor the length away', (t) => {
  const raw = ['X-A', '1', 'Connection', 'close, X-A ,x-b', 'x-B', '2', 'X-C', '3', 'CONNECTION', 'x-d', 'X-D', '4']
  t.same(requestHeaders(raw, credentials), [...OURS, 'X-C', '3'])
  const saved = { ...credentials, organization: 'org-saved', project: 'proj_saved' }
  const list = 'authorization, content-length, openai-organization, openai-project, content-type, close, keep-alive, ,'
  const attack = toList(`
    Connection: ${list}
    Content-Length: 3
    Content-Type: text/plain
    Authorization: Bearer jwt`)
  const added = ['OpenAI-Organization', 'org-saved', 'OpenAI-Project', 'proj_saved']
  t.same(requestHeaders(attack, saved), [...OURS, 'Content-Length', '3', ...added])
  t.end()
})

test("an organization and a project that were saved with the key win over the client's", (t) => {
  const raw = toList(`
    OPENAI-Organization: org-client
    openai-project: proj_client
    openai-organization: org-2
    x: 1`)
  const organization = { ...credentials, organization: 'org-saved' }
  const both = { ...organization, project: 'proj_saved' }
  const own = ['OpenAI-Organization', 'org-saved']
  t.same(requestHeaders(raw, both), [...OURS, 'x', '1', ...own, 'OpenAI-Project', 'proj_saved'])
  t.same(requestHeaders(raw, organization), [...OURS, 'openai-project', 'proj_client', 'x', '1', ...own])
  t.same(requestHeaders(raw, credentials), [...OURS, ...raw])
  t.end()
})

test('response headers come back as they are but for what frames, leaks or belongs to another origin', (t) => {
  const raw = toList(`
    Content-Type: text/event-stream
    X-Request-Id: req_1
    x-ratelimit-remaining-requests: 9
    X-New:
    openai-processing-ms: 5
    Content-Length: 3
    Retry-After: 1
    x-new: 2
    Location: /v1/realtime/calls/rtc_1
    Content-Encoding: br
    X-Latin: caf\u00e9`)
  t.same(responseHeaders(toRaw(raw)), raw)
  const names = words(`connection keep-alive proxy-connection te trailer transfer-encoding upgrade proxy-authenticate
    proxy-authentication-info www-authenticate set-cookie set-cookie2 clear-site-data openai-organization openai-project
    alt-svc strict-transport-security public-key-pins expect-ct nel report-to reporting-endpoints server via x-powered-by
    cross-origin-resource-policy cross-origin-opener-policy cross-origin-embedder-policy timing-allow-origin
    service-worker-allowed access-control-allow-origin access-control-allow-credentials access-control-anything`)
  for (const name of names) {
    for (const spelling of [name, name.toUpperCase()]) {
      t.same(responseHeaders(toRaw(['A', '1', spelling, 'value', 'B', '2'])), ['A', '1', 'B', '2'], spelling)
    }
  }
  const listed = ['Connection', 'x-hop, Content-Length', 'X-Hop', '1', 'Content-Length', '3', 'B', '2']
  t.same(responseHeaders(toRaw(listed)), ['Content-Length', '3', 'B', '2'])
  t.same([headerValues(raw, 'content-encoding'), headerValues(raw, 'b')], ['br', ''])
  t.equal(headerValues(['a', '1', 'B', '2', 'A', '3'], 'a'), '1, 3')
  t.end()
})

interface Passed {
  readonly out: Buffer
  /** Whether the key appeared. */
  readonly stopped: boolean
}

/**
 * Sends chunks through a guard and checks its promise after each: what has left is the beginning of what came, and what
 * is held back is a beginning of the key and as little as possible.
 */
function pass(key: string, chunks: readonly Buffer[]): Passed {
  const guard = createLeakGuard(key)
  const needle = Buffer.from(key)
  let [came, out] = [Buffer.alloc(0), Buffer.alloc(0)]
  for (const chunk of chunks) {
    came = Buffer.concat([came, chunk])
    const safe = guard.push(Buffer.from(chunk))
    if (safe === undefined) return { out, stopped: true }
    out = Buffer.concat([out, safe])
    const held = came.subarray(out.length)
    if (!came.subarray(0, out.length).equals(out)) throw new Error('other bytes left than came')
    if (held.length >= needle.length) throw new Error('more was held back than a beginning of the key')
    if (!needle.subarray(0, held.length).equals(held)) throw new Error('bytes were held back that cannot begin the key')
  }
  return { out: Buffer.concat([out, guard.rest()]), stopped: false }
}

const split = (body: Buffer, ...at: number[]) =>
  [0, ...at].map((start, index) => body.subarray(start, at[index] ?? body.length))

test('the key is found however it is split, and not one byte of it leaves', (t) => {
  for (const key of ['sk-proj-canary-77aa31', 'sk-sk-sk-sk-x', 'aaaaaaab', 'abababac', 'aaaaaaaa']) {
    const begin = 'data: {"x":"'
    const body = Buffer.from(`${begin}${key}"}\n\ndata: [DONE]\n\n`)
    const splits: Buffer[][] = [[body], Array.from(body, (byte) => Buffer.of(byte))]
    for (let first = 0; first <= body.length; first += 1) {
      splits.push(split(body, first))
      for (let second = first; second <= body.length; second += 1) splits.push(split(body, first, second))
    }
    const bad = splits.filter((chunks) => {
      const { out, stopped } = pass(key, chunks)
      return !stopped || out.length > begin.length || !body.subarray(0, out.length).equals(out)
    })
    t.same(bad, [], `${splits.length} splits of ${key}`)
  }
  t.end()
})

test('a key that only almost appears changes nothing, and what was held back comes out at the end', (t) => {
  const key = 'sk-sk-sk-key'
  const almost = [
    '',
    ...words('s sk-sk-sk-ke sk-sk-sk-sk-sk-sk-ke sk-sk-sk-kez SK-SK-SK-KEY yek-ks-ks-ks sk-sk-sk-kk-key'),
  ]
  almost.push(key.slice(1), 'sk-sk-sk- key', `${key.slice(0, -1)}\0`, 's'.repeat(1_000), 'sk-'.repeat(1_000))
  const bodies = almost.map((each) => Buffer.from(each))
  for (const body of bodies) {
    for (let at = 0; at <= Math.min(body.length, 40); at += 1) {
      const { out, stopped } = pass(key, split(body, at))
      t.same([out.equals(body), stopped], [true, false])
    }
    t.ok(
      pass(
        key,
        Array.from(body, (byte) => Buffer.of(byte)),
      ).out.equals(body),
      `${body.length} bytes one by one`,
    )
  }
  t.end()
})

/** A small generator (xorshift) with a seed, so that a failure comes back. */
function createRandom(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) % below
  }
}

test('2,000 random bodies pass byte for byte unless the key is in them', (t) => {
  const random = createRandom(20_261_124)
  const letters = 'sk-ab'
  const text = (length: number, variety: number) =>
    Array.from({ length }, () => letters[random(variety)] ?? '').join('')
  let leaks = 0
  for (let number = 0; number < 2_000; number += 1) {
    const variety = 2 + random(4)
    const key = text(8 + random(5), variety)
    const withKey = random(2) === 0 ? key : ''
    const body = Buffer.from(text(random(300), variety) + withKey + text(random(300), variety))
    const cuts = Array.from({ length: random(12) }, () => random(body.length + 1)).toSorted((a, b) => a - b)
    const { out, stopped } = pass(key, split(body, ...cuts))
    const at = body.indexOf(key)
    if (at === -1 ? stopped || !out.equals(body) : !stopped || out.length > at) t.fail(`body ${number} with key ${key}`)
    if (at !== -1) leaks += 1
  }
  t.ok(leaks > 900 && leaks < 1_900, `${leaks} of them had the key`)
  t.end()
})

test('a reason phrase reaches the client as the bytes that came, without what would end a line', (t) => {
  const phrases = { '': '', OK: 'OK', 'I am a teapot': 'I am a teapot', 'caf\u00e9': 'caf\u00c3\u00a9' }
  for (const [came, goes] of Object.entries(phrases)) t.equal(reasonPhrase(came), goes)
  t.notMatch(reasonPhrase('caf\u00e9\r\nX: y\0'), /[\r\n\0]/)
  t.end()
})

test('the guard finds the key in one piece of bytes, and forgets it at the end', (t) => {
  const guard = createLeakGuard('sk-canary-9')
  t.equal(guard.isIn(Buffer.from('xsk-canary-9x')), true)
  t.equal(guard.isIn(Buffer.from('sk-canary-')), false)
  guard.end()
  t.equal(guard.isIn(Buffer.from('xsk-canary-9x')), false)
  t.end()
})
