import { randomBytes } from 'node:crypto'
import { gzipSync } from 'node:zlib'
import OpenAI from 'openai'
import { test } from 'tap'
import type { Test } from 'tap'
import { CallError, createSoakp } from '../index.ts'
import type { Settings } from '../index.ts'
import { collect, matchesSchema } from './fixtures/openai.ts'
import { lastOf, startLibrary } from './support/library.ts'
import { startSoakp } from './support/soakp.ts'

const model = 'gpt-5-mini'
const messages = [{ role: 'user' as const, content: 'Good morning' }]

test('as documented in 2023: a key is saved, and its token, or the promise of it, calls', async (t) => {
  const { soakp, upstream, token } = await startLibrary(t)
  t.match(token, /^eyJ[\w-]+\.[\w-]+\.[\w-]{43}$/)
  const promise = soakp.saveKey(upstream.key, { name: 'second', organization: 'org-1' })
  const response = soakp.request(promise, 'chat/completions', { model, messages })
  matchesSchema(t, 'CreateChatCompletionResponse', await response)
  const { method, url, rawHeaders, body } = lastOf(upstream)
  t.strictSame([method, url], ['POST', '/v1/chat/completions'])
  t.match(rawHeaders.join('\n'), `Authorization\nBearer ${upstream.key}`)
  t.match(rawHeaders.join('\n'), 'OpenAI-Organization\norg-1')
  t.strictSame(JSON.parse(body.toString()), { model, messages })
  await t.rejects(soakp.request(soakp.saveKey('no key'), 'models'), { status: 400, code: 'SOAKP_KEY_INVALID' })
})

test('an endpoint is a path, with its method before it if need be', async (t) => {
  const { soakp, upstream, token } = await startLibrary(t)
  upstream.handle('*', '*', (request, response) => {
    response.setHeader('content-type', 'application/json')
    response.end(JSON.stringify(`${request.method} ${request.url}`))
  })
  const calls: [
    expected: string,
    ...(Parameters<typeof soakp.request> extends [unknown, ...infer Rest] ? Rest : never),
  ][] = [
    ['GET /v1/models', 'models'],
    ['GET /v1/models', '/models'],
    ['GET /v1/models', '/v1/models'],
    ['GET /v1/models', 'GET /openai/models'],
    ['GET /v1/a%2fb?x=%20', 'a%2fb?x=%20'],
    ['DELETE /v1/files/f', 'delete v1/files/f'],
    ['POST /v1/responses', 'responses', {}],
    ['POST /v1/responses/r/cancel', 'POST responses/r/cancel'],
    ['PATCH /v1/x', 'x', {}, { method: 'patch' }],
    ['GET /v1/files?limit=2&include%5B%5D=a&include%5B%5D=b&m%5Bk%5D=v', 'GET files', filter()],
    ['GET /v1/files?after=f&limit=2', 'GET files?after=f', { limit: 2 }],
  ]
  for (const [expected, ...call] of calls) t.equal(await soakp.request(token, ...call), expected, expected)
  t.match(await soakp.request(token, 'GET /soakp/me'), { object: 'token', remaining: {} })
  for (const endpoint of ['', 'GET', 'a b c', 'https://api.openai.com/v1/models']) {
    if (endpoint !== 'GET') await t.rejects(soakp.request(token, endpoint), TypeError, endpoint)
  }
})

function filter(): object {
  return { limit: 2, include: ['a', 'b'], m: { k: 'v' }, absent: undefined }
}

test('an answer is what its content type says', async (t) => {
  const { soakp, upstream, token } = await startLibrary(t)
  const bytes = randomBytes(300_000)
  const answers: Record<string, [type: string, body: string | Buffer, expected: unknown, status?: number]> = {
    json: ['application/problem+json; charset=utf-8', '{"a":"ü"}', { a: 'ü' }],
    bytes: ['audio/mpeg', bytes, bytes],
    jsonl: ['application/octet-stream', '{"a":1}\n', Buffer.from('{"a":1}\n')],
    text: ['text/vtt', 'WEBVTT ü', 'WEBVTT ü'],
    nothing: ['application/json', '', undefined],
    none: ['application/json', '', undefined, 204],
  }
  for (const [name, [type, body, expected, status = 200]] of Object.entries(answers)) {
    upstream.handle('GET', `/v1/${name}`, (_request, response) => {
      response.writeHead(status, { 'content-type': type }).end(body)
    })
    t.strictSame(await soakp.request(token, name), expected, name)
  }
  t.equal(await soakp.request(token, 'HEAD models'), undefined)
  upstream.handle('GET', '/v1/zipped', ({ headers }, response) => {
    const isAsked = headers['accept-encoding']?.includes('gzip') === true
    response.setHeader('content-type', 'application/json')
    if (isAsked) response.setHeader('content-encoding', 'gzip').end(gzipSync('{}'))
    else response.end('{}')
  })
  const headers = { 'Accept-Encoding': 'gzip' }
  t.strictSame(await soakp.request(token, 'zipped', undefined, { headers }), {}, 'it never comes compressed')
})

test('an error is thrown with its status, code, type and request id, and nothing is sent twice', async (t) => {
  const { soakp, upstream, token } = await startLibrary(t)
  const headers = { 'content-type': 'application/json', 'x-request-id': 'req_up', 'retry-after': '7' }
  const error = { message: 'Slow down.', type: 'requests', code: 'rate_limit_exceeded', param: 'x' }
  upstream.handle('GET', '/v1/busy', (_request, response) => {
    response.writeHead(429, headers).end(JSON.stringify({ error }))
  })
  upstream.handle('GET', '/v1/broken', (_request, response) => void response.writeHead(502).end('<html>'))
  const busy = await soakp.request(token, 'busy').catch((each: unknown) => each)
  t.ok(busy instanceof CallError)
  t.match(busy, { ...error, status: 429, requestID: 'req_up', headers: { get: Function } })
  t.equal((busy as CallError).headers.get('retry-after'), '7')
  await t.rejects(soakp.request(token, 'broken'), { status: 502, code: null, message: 'The call was answered 502.' })
  t.equal(upstream.requests.length, 2)
  const refused = { status: 401, code: 'SOAKP_TOKEN_REFUSED', type: 'authentication_error', requestID: /^req_/ }
  await t.rejects(soakp.request('no token', 'models'), refused)
  await t.rejects(soakp.request(upstream.key, 'models'), refused, 'the key is no token')
  const unknownKey = { status: 404, code: 'SOAKP_KEY_NOT_FOUND', param: 'key_id' }
  await t.rejects(soakp.mint({ key_id: 'key_unknown' }), unknownKey)
})

test('the official SDK works with nothing but the token and fetch', async (t) => {
  const { soakp, upstream, token, wasEnded } = await startLibrary(t)
  const openai = new OpenAI({ apiKey: token, fetch: soakp.fetch, maxRetries: 0 })
  matchesSchema(t, 'CreateChatCompletionResponse', await openai.chat.completions.create({ model, messages }))
  const stream = await openai.chat.completions.create({ model, messages, stream: true })
  t.ok((await collect(stream)).length > 3)
  const file = await openai.files.create({ file: new File(['{}'], 'a.jsonl'), purpose: 'batch' })
  t.equal(await (await openai.files.content(file.id)).text(), '{}')
  upstream.handle('POST', '/v1/chat/completions', (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write('data: {"choices":[]}\n\n')
  })
  for await (const _ of await openai.chat.completions.create({ model, messages, stream: true })) break
  await wasEnded()
  const { data } = await soakp.manage<{ data: { id: string }[] }>('GET /soakp/keys')
  const narrow = await soakp.mint({ key_id: data[0]?.id ?? '', scope: { methods: ['GET'], paths: ['/models'] } })
  const reader = openai.withOptions({ apiKey: narrow.token })
  t.ok((await reader.models.list()).data.length > 0)
  const calls = upstream.requests.length
  const refused = { status: 403, code: 'SOAKP_SCOPE_REFUSED', requestID: /^req_/ }
  await t.rejects(async () => reader.files.list(), refused, 'a policy holds here too')
  t.equal(upstream.requests.length, calls)
  const rotated = await soakp.rotate(narrow.token, { grace_seconds: 0 })
  await t.rejects(soakp.request(narrow.token, 'models'), { code: 'SOAKP_TOKEN_REFUSED' })
  t.match(await soakp.request(rotated.token, 'models'), { object: 'list' })
})

test('each instance has a folder of its own, which another one opens later with the same secret', async (t) => {
  const secret = 'correct horse battery staple'
  const { soakp, dataDir, settings, upstream, token } = await startLibrary(t, { secret })
  const other = await startLibrary(t)
  await t.rejects(other.soakp.request(token, 'models'), { code: 'SOAKP_TOKEN_REFUSED' })
  const wrong = createSoakp({ ...settings, secret: 'another horse battery staple' })
  for (let time = 0; time < 2; time += 1) await t.rejects(wrong.request(token, 'models'), { code: 'SOAKP_SEAL_WRONG' })
  const again = createSoakp(settings)
  t.match(await again.request(token, 'models'), { object: 'list' })
  await again.revoke(token)
  await t.rejects(soakp.request(token, 'models'), { code: 'SOAKP_TOKEN_REFUSED' }, 'even while both run')
  await Promise.all([again.close(), again.close()])
  t.throws(() => createSoakp({ datadir: 'x' } as Settings), /no setting "datadir", only .*dataDir/)
  t.throws(() => createSoakp({ port: 1 } as Settings), TypeError, 'it does not listen')
  const list = createSoakp({ ...settings, allowPrivateUpstreams: ['http://10.0.0.5:8080', 'http://10.0.0.6'] })
  t.ok(await list.saveKey(upstream.key, { base_url: 'http://10.0.0.6/v1' }))
  await list.close()
  t.not(
    await createServerAdmin(t, dataDir, secret),
    undefined,
    'a server that comes later makes and shows its credential',
  )
})

/** Starts a server on a folder and returns the admin credential that it made. */
async function createServerAdmin(t: Test, dataDir: string, secret: string): Promise<unknown> {
  const environment = { SOAKP_DATA_DIR: dataDir, SOAKP_SECRET: secret, SOAKP_ADMIN_TOKEN: undefined }
  const { app } = await startSoakp(t, { ...environment, SOAKP_TLS: 'off' })
  return app.unsealed.newAdminCredential
}
