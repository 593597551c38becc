import { join } from 'node:path'
import { test } from 'tap'
import { assertBaseUrlAllowed, isLoopbackHost, normaliseBaseUrl, normaliseOrigin } from '../../services/base-url.ts'
import { createOrigins } from '../../services/origins.ts'
import { checkPathPattern, matchesPath } from '../../services/path-pattern.ts'
import { assertAllowed, assertOriginAllowed } from '../../services/policy.ts'
import type { TokenPolicy } from '../../services/policy.ts'
import { openStore } from '../../services/stores/index.ts'

const words = (text: string) => text.trim().split(/\s+/)

test('a path matches a pattern when it is that path, * being one segment and ** the rest', (t) => {
  const cases: Record<string, { yes: string; no: string }> = {
    '/models': {
      yes: '/models /m%6fdels /%6D%6F%64%65%6C%73',
      no: '/model /modelss /models/ /models/x //models /Models /x/models models /models%00 /models; /models;x /models%20',
    },
    '/chat/completions': {
      yes: '/chat/completions /chat/%63ompletions',
      no: '/chat /completions /chat//completions /chat/completions/x /chat%2fcompletions /chat%2Fcompletions',
    },
    '/files/*': {
      yes: '/files/file-1 /files/%C3%A9 /files/a%20b /files/a:b /files/a+b /files/... /files/a%3fb /files/~',
      no: `/files /files/ /files/a/b /files/. /files/.. /files/%2e%2e /files/%2E. /files/.%2e /files/%2e /files/a%2fb
        /files/..%2f..%2fmodels /files/%5c /files/..%5cmodels /files/a%252fb /files/%252e%252e /files/%25 /files/a;b
        /files/a%3bb /files/%00 /files/a%0d%0ab /files/%7f /files/%09 /files//a /files/a/ /files\\a /files/a\\b`,
    },
    '/files/*/content': {
      yes: '/files/a/content /files/%63/content',
      no: '/files/content /files//content /files/../content /files/a/b/content /files/a/content/ /files/a/contents',
    },
    '/threads/**': {
      yes: '/threads /threads/a /threads/a/b/c/d',
      no: '/thread /threads/ /threads// /threads/a/ /threads/../models /threads/a/%2e%2e/b /threads/a//b /threadsx /threads%2fa',
    },
    '/**': { yes: '/a /a/b /responses/resp_1/input_items', no: '/ // /a/../b /a%2fb /%2e%2e' },
    '/*': { yes: '/models', no: '/ /a/b /.. /%2e' },
    '/*/*': { yes: '/a/b', no: '/a /a/ /a/b/c /a/..' },
    '/**/': { yes: '', no: '/a' },
    '/dateien/größe': {
      yes: '/dateien/gr%C3%B6%C3%9Fe',
      no: '/dateien/gro%CC%88%C3%9Fe /dateien/gr%F6%DFe /dateien/gr%C3',
    },
  }
  for (const [pattern, { yes, no }] of Object.entries(cases)) {
    for (const path of words(yes))
      if (path !== '') t.equal(matchesPath([pattern], path), true, `${pattern} takes ${path}`)
    for (const path of words(no)) t.equal(matchesPath([pattern], path), false, `${pattern} refuses ${path}`)
  }
  for (const path of ['', '/files/%zz', '/files/%', '/files/%c0%af', '/files/%ff', '/files/%ed%a0%80', '*', '/a%2']) {
    t.equal(matchesPath(['/**'], path), false, `no reading of ${path}`)
  }
  t.equal(matchesPath([], '/models'), false, 'no pattern, no path')
  t.equal(matchesPath(['/files', '/models'], '/models'), true, 'any of several')
  t.end()
})

test('a pattern that could never match, or that means something else than it seems, is not accepted', (t) => {
  for (const pattern of [
    '/models',
    '/files/*',
    '/files/*/content',
    '/**',
    '/*',
    '/a b',
    '/größe',
    '/V1',
    '/x/v1',
    '/~.a',
  ]) {
    t.equal(checkPathPattern(pattern), pattern)
  }
  const useless = words(`models models/* /v1 /v1/models /v1/** /models/ / // /a//b /a/**/b /**/a /a* /*a /a/b* /***
    /a?x=1 /a#b /a%2fb /%6dodels /a\\b /a;b /a/../b /. /.. /a/. https://api.openai.com/v1/models`)
  for (const pattern of ['', ' ', ' /models', '/a\nb', '/a\0', ...useless]) {
    const error = { statusCode: 400, code: 'SOAKP_SCOPE_INVALID', param: 'scope.paths' }
    t.throws(() => checkPathPattern(pattern), error, JSON.stringify(pattern))
  }
  t.end()
})

const limits = { requests_per_minute: 1, requests_per_day: 1, parallel_requests: 1 }
const policyOf = (scope: TokenPolicy['scope'], origins: string[] = []): TokenPolicy => ({ scope, origins, limits })

test('a policy without a scope allows everything, and one with a scope only what it lists', (t) => {
  const request = { method: 'POST', path: '/chat/completions', origin: undefined }
  for (const path of ['/a', '/a/../b', '//x', '/%zz', '']) assertAllowed(policyOf({}), { ...request, path })
  assertAllowed(policyOf({ methods: ['POST'], paths: ['/chat/*'] }), request)
  assertAllowed(policyOf({ methods: ['GET'] }), { ...request, method: 'HEAD' })
  const refused = { statusCode: 403, code: 'SOAKP_SCOPE_REFUSED' }
  for (const method of ['GET', 'post', 'HEAD', 'OPTIONS', 'PURGE', '']) {
    t.throws(() => assertAllowed(policyOf({ methods: ['POST'] }), { ...request, method }), refused, method)
  }
  t.throws(() => assertAllowed(policyOf({ methods: ['HEAD'] }), { ...request, method: 'GET' }), refused)
  t.throws(() => assertAllowed(policyOf({ methods: [] }), request), refused, 'an empty list is not all')
  t.throws(() => assertAllowed(policyOf({ paths: [] }), request), refused, 'an empty list is not all')
  t.throws(() => assertAllowed(policyOf({ paths: ['/models'] }), request), { ...refused, message: /\/models/ })
  t.end()
})

test('a token that is bound to pages works from those pages alone, and from no program', (t) => {
  const bound = policyOf({}, ['https://app.example.com', 'http://localhost:3000'])
  for (const origin of bound.origins) assertOriginAllowed(bound, origin)
  const refused = { statusCode: 403, code: 'SOAKP_ORIGIN_REFUSED' }
  const others = `null https://app.example.com:443 https://app.example.com/ http://app.example.com
    https://APP.example.com https://app.example.com.evil.example https://evil.example http://localhost`
  for (const origin of [undefined, '', ...words(others)]) {
    t.throws(() => assertOriginAllowed(bound, origin), refused, String(origin))
    t.throws(() => assertAllowed(bound, { method: 'GET', path: '/models', origin }), refused)
  }
  assertOriginAllowed(policyOf({}), undefined)
  assertOriginAllowed(policyOf({}), 'https://anything.example')
  t.end()
})

test('pages may read answers when the operator or a live token names them, or they are local and SOAKP too', async (t) => {
  const store = await openStore('sqlite', { file: join(t.testdir(), 'soakp.db'), key: 'ab'.repeat(48) })
  t.teardown(() => store.close())
  const token = {
    key_id: 'k',
    subject: null,
    name: null,
    policy: '{}',
    created_at: 1,
    expires_at: 100,
    revoked_at: null,
  }
  await store.insertToken({ ...token, id: 'tok_A' }, ['https://of-a-token.example'])
  const clock = { time: 50 }
  const named = ['https://named.example']
  const local = createOrigins(store, named, true, () => clock.time)
  const open = createOrigins(store, named, false, () => clock.time)
  t.ok(open.mayRead('https://named.example') && open.isGenerallyAllowed('https://named.example'))
  t.ok(open.mayRead('https://of-a-token.example'))
  t.notOk(open.isGenerallyAllowed('https://of-a-token.example'), 'only with that token')
  const own = words(`http://localhost http://localhost:3000 https://localhost:8443 http://app.localhost:5173
    http://127.0.0.1:8080 http://[::1]:3000`)
  for (const origin of own) t.same([local.mayRead(origin), open.mayRead(origin)], [true, false], origin)
  const foreign =
    words(`http://localhost.evil.example http://evil.example/localhost http://notlocalhost http://localhost:
    http://127.0.0.1.evil.example http://127.0.0.10.1 http://localhost@evil.example http://evil.example:3000
    http://localhost:123456 xhttp://localhost file://localhost http://localhost:3000/ null http://a.b.evil.localhost.example`)
  for (const origin of ['', 'http://localhost\n', ...foreign]) t.notOk(local.mayRead(origin), JSON.stringify(origin))
  clock.time = 100
  t.notOk(open.mayRead('https://of-a-token.example'), 'not once the token has expired')
})

test('an origin is normalised as browsers send it, and what is none is refused', (t) => {
  const normalised = {
    'https://app.example.com': 'https://app.example.com',
    'https://App.Example.com/': 'https://app.example.com',
    'HTTPS://app.example.com:443': 'https://app.example.com',
    'http://localhost:3000': 'http://localhost:3000',
    'http://[::1]:3000': 'http://[::1]:3000',
    'https://münchen.example': 'https://xn--mnchen-3ya.example',
    'chrome-extension://abcdef': 'chrome-extension://abcdef',
    'capacitor://localhost': 'capacitor://localhost',
  }
  for (const [value, origin] of Object.entries(normalised)) t.equal(normaliseOrigin(value, 'origins'), origin)
  const none =
    words(`* null https:// https://* https://*.example.com app.example.com //app.example.com https:app.example.com
    https://app.example.com/page https://app.example.com?x https://app.example.com/#x https://user@app.example.com
    https://app.example.com// https://app.example.com\\ file:/// data:text/html,x javascript:alert(1) https://a:99999`)
  for (const value of ['', ' ', ' https://app.example.com', 'https://a.example https://b.example', ...none]) {
    const error = { statusCode: 400, code: 'SOAKP_ORIGIN_INVALID', param: 'origins' }
    t.throws(() => normaliseOrigin(value, 'origins'), error, JSON.stringify(value))
  }
  t.end()
})

test('a base URL is normalised as SDKs take it', (t) => {
  const normalised = {
    'https://api.openai.com/v1': 'https://api.openai.com/v1',
    'https://api.openai.com/v1/': 'https://api.openai.com/v1',
    'https://api.openai.com/v1///': 'https://api.openai.com/v1',
    'https://api.openai.com': 'https://api.openai.com/v1',
    'https://api.openai.com/': 'https://api.openai.com/v1',
    'HTTPS://API.OpenAI.com:443/V1': 'https://api.openai.com/V1',
    'https://example.com:8443/openai/deployments/x': 'https://example.com:8443/openai/deployments/x',
    'https://münchen.example/v1': 'https://xn--mnchen-3ya.example/v1',
    'http://[::1]:8080': 'http://[::1]:8080/v1',
    'http://127.1:8080/v1': 'http://127.0.0.1:8080/v1',
    'http://0x7f.1': 'http://127.0.0.1/v1',
    'http://2130706433': 'http://127.0.0.1/v1',
    'http://017700000001': 'http://127.0.0.1/v1',
    'http://１２７.０.０.１': 'http://127.0.0.1/v1',
    ' https://api.openai.com/v1 ': 'https://api.openai.com/v1',
  }
  for (const [value, url] of Object.entries(normalised)) t.equal(normaliseBaseUrl(value, 'base_url'), url, value)
  const none = words(`api.openai.com /v1 //api.openai.com/v1 ftp://example.com file:///etc/passwd data:, javascript:x
    https:// https://user@example.com/v1 https://user:pass@example.com https://:pass@example.com https://example.com/v1?x=1
    https://example.com/v1? https://example.com/v1# https://example.com/v1#x https://[::1 https://a:99999 https://999.1.1.1
    https://example.com/a/../b https://example.com/./a https://example.com/a/%2E%2e/b https://example.com/a%2fb
    https://example.com\\a wss://example.com unix:/tmp/x https://exa%00mple.com`)
  for (const value of ['', 'https://exa mple.com', 'not a url', ...none]) {
    const error = { statusCode: 400, code: 'SOAKP_BASE_URL_INVALID', param: 'base_url', message: /base_url/ }
    t.throws(() => normaliseBaseUrl(value, 'base_url'), error, JSON.stringify(value))
  }
  t.end()
})

test('a base URL may be public over TLS or on this machine, private where named, and never a metadata address', (t) => {
  const named = ['http://10.0.0.5:8080', 'https://192.168.1.2', 'http://llm.example.com', 'https://169.254.169.254']
  named.push(
    'http://169.254.169.254',
    'http://[fd00:ec2::254]',
    'http://0.0.0.0:8080',
    'http://[::ffff:169.254.169.254]',
  )
  const allow = (url: string, origins = named) =>
    assertBaseUrlAllowed(normaliseBaseUrl(url, 'base_url'), origins, 'base_url')
  const allowed = words(`https://api.openai.com https://8.8.8.8 https://[2606:4700::1111] http://localhost:11434
    http://127.0.0.1:8080 http://127.9.9.9 https://localhost http://[::1]:8080 http://app.localhost http://[::ffff:127.0.0.1]
    http://0x7f.1 http://2130706433:8080 http://10.0.0.5:8080 https://192.168.1.2/v1 http://llm.example.com/api`)
  for (const url of allowed) t.doesNotThrow(() => allow(url), url)
  const never = words(`http://169.254.169.254/latest https://169.254.169.254 http://0xa9fea9fe http://2852039166
    http://0251.0376.0251.0376 http://[::ffff:169.254.169.254] http://[::ffff:a9fe:a9fe] http://[64:ff9b::a9fe:a9fe]
    http://[fd00:ec2::254] http://[fe80::1] http://0.0.0.0:8080 http://0 http://[::] https://224.0.0.1 https://255.255.255.255`)
  const unlessNamed =
    words(`http://10.0.0.5 http://10.0.0.5:8081 https://10.0.0.5:8080 https://10.1.2.3 https://172.16.0.1
    https://192.168.1.2:8443 http://192.168.1.2 https://[fd12::1] https://100.64.0.1 http://api.openai.com http://8.8.8.8
    https://0x0a.0.0.5 https://[::ffff:10.0.0.5] http://llm.example.com:8080 http://localhost.evil.example`)
  for (const url of [...never, ...unlessNamed]) t.throws(() => allow(url), { code: 'SOAKP_BASE_URL_INVALID' }, url)
  for (const url of ['http://10.0.0.5:8080', 'http://llm.example.com', 'https://192.168.1.2']) {
    t.throws(() => allow(url, []), { message: /SOAKP_ALLOW_PRIVATE_UPSTREAMS/ }, `${url} when nobody named it`)
  }
  t.same(words('127.0.0.1 localhost ::1 [::1] 127.1.2.3 x.localhost').map(isLoopbackHost), Array(6).fill(true))
  t.same(words('0.0.0.0 :: 10.0.0.1 example.com localhost.example 1270.0.0.1 ::ffff:10.0.0.1').map(isLoopbackHost), [
    ...Array<boolean>(7).fill(false),
  ])
  t.end()
})
