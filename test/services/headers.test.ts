import { test } from 'tap'
import { headerValues, reasonPhrase, requestHeaders, responseHeaders } from '../../services/headers.ts'

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

test('a header is kept back with underscores, too, as which CGI and WSGI read it', (t) => {
  const saved = { ...credentials, organization: 'org-ours', project: 'proj_ours' }
  const account = ['OpenAI-Organization', 'org-ours', 'OpenAI-Project', 'proj_ours']
  const evil = ['OpenAI_Organization', 'openai_project', 'X_Forwarded_For', 'X_HTTP_Method_Override', 'X-Original_URL']
  const alike = [
    'Transfer_Encoding',
    'Sec_WebSocket_Protocol',
    'Proxy_Authorization',
    'API_KEY',
    'Access_Control_A',
    'Content_Length',
  ]
  for (const name of [...evil, ...alike, 'Proxy', 'X-Forwarded', 'X-Host', 'X-Original-Host', 'Client-IP']) {
    t.same(requestHeaders(['A', '1', name, 'evil', 'B', '2'], saved), [...OURS, 'A', '1', 'B', '2', ...account], name)
  }
  const fine = ['x_new_feature', '1', 'Proxy-Feature', '2', '__proto__', '3', 'OpenAI_Beta', '4', 'content_type', '5']
  t.same(requestHeaders(fine, saved), [...OURS, ...fine, ...account])
  t.same(requestHeaders(['openai_project', 'p'], credentials), [...OURS, 'openai_project', 'p'], 'none was saved')
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

test('a reason phrase reaches the client as the bytes that came, without what would end a line', (t) => {
  const phrases = { '': '', OK: 'OK', 'I am a teapot': 'I am a teapot', 'caf\u00e9': 'caf\u00c3\u00a9' }
  for (const [came, goes] of Object.entries(phrases)) t.equal(reasonPhrase(came), goes)
  t.notMatch(reasonPhrase('caf\u00e9\r\nX: y\0'), /[\r\n\0]/)
  t.end()
})
