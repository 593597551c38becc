import { readFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import fastifyJwt from '@fastify/jwt'
import rateLimit from '@fastify/rate-limit'
import Fastify from 'fastify'
import type { FastifyServerOptions } from 'fastify'
import OpenAI from 'openai'
import { test } from 'tap'
import type { Test } from 'tap'
import { plugin, readConfiguration } from '../index.ts'
import { startPracticeUpstream } from '../practice/upstream.ts'
import { collect } from './fixtures/openai.ts'
import { bearer } from './support/refusals.ts'
import { ADMIN, temporaryFolder } from './support/soakp.ts'
import { eventually } from './support/wire.ts'

const model = 'gpt-5-mini'
const messages = [{ role: 'user' as const, content: 'Good morning' }]

/** Somebody's own server, with routes, parsers and answers of its own, and SOAKP beside them. */
async function startHost(t: Test, serverOptions: FastifyServerOptions = {}) {
  const upstream = await startPracticeUpstream()
  t.teardown(() => upstream.close())
  const dataDir = join(await temporaryFolder(t), 'data')
  const app = Fastify(serverOptions)
  t.teardown(() => app.close())
  await app.register(fastifyJwt, { secret: 'a secret of the host and of nobody else' })
  app.addSchema({ $id: 'Error', type: 'object' })
  const parseOwn = async (_request: unknown, body: string | Buffer) => `own: ${body.toString()}`
  app.addContentTypeParser('application/x-own', { parseAs: 'string' }, parseOwn)
  app.setErrorHandler((error, _request, reply) => reply.code(418).send(`host: ${(error as Error).message}`))
  app.setNotFoundHandler((_request, reply) => reply.code(404).send('host: nothing here'))
  app.addHook('onRequest', async (request) => {
    if (request.headers['x-banned'] !== undefined) throw new Error('banned')
  })
  await app.register(plugin, { dataDir, upstream: upstream.url, adminToken: ADMIN, drainSeconds: 1 })
  await app.register(rateLimit, { max: 10_000 })
  const schema = { body: { type: 'object', properties: { n: { type: 'number' } } } }
  app.post('/own/json', { schema }, async ({ body }) => body)
  app.post('/own/text', async ({ body }) => ({ body }))
  app.get('/own/login', async () => ({ jwt: app.jwt.sign({ user: 7 }) }))
  app.get('/own/user', async (request) => request.jwtVerify())
  app.get('/own/broken', async () => {
    throw new Error('broken')
  })
  await app.listen({ port: 0 })
  const { port } = app.server.address() as AddressInfo
  const address = `http://localhost:${port}`

  async function call(method: string, path: string, headers: Record<string, string> = {}, body?: string) {
    const answer = await fetch(address + path, { method, headers, ...(body !== undefined && { body }) })
    return { status: answer.status, headers: answer.headers, text: await answer.text() }
  }

  const json = { 'content-type': 'application/json', ...bearer(ADMIN) }
  const saved = await call('POST', '/soakp/keys', json, JSON.stringify({ key: upstream.key }))
  t.equal(saved.status, 201, saved.text)
  const { id, token } = (JSON.parse(saved.text) as { token: { id: string; token: string } }).token
  return { address, app, call, dataDir, json, token, tokenId: id, upstream }
}

test('in a Fastify of somebody else SOAKP does all that it does on its own', async (t) => {
  const { address, call, json, token, tokenId, upstream } = await startHost(t)
  const openai = new OpenAI({ apiKey: token, baseURL: `${address}/v1`, maxRetries: 0 })
  t.ok((await collect(await openai.chat.completions.create({ model, messages, stream: true }))).length > 3)
  await openai.files.create({ file: new File(['{}'], 'a.jsonl'), purpose: 'batch' })
  t.equal((await call('GET', '/openai/models', bearer(token))).status, 200)
  t.equal((await call('HEAD', '/v1/models', bearer(token))).status, 200)
  upstream.handle('GET', '/v1/endless', (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write('data: first\n\n')
  })
  const stream = await fetch(`${address}/v1/endless`, { headers: bearer(token) })
  const reader = stream.body?.getReader()
  t.match(Buffer.from((await reader?.read())?.value ?? []).toString(), /first/)
  const cut = t.rejects(async () => reader?.read())
  t.equal((await call('DELETE', `/soakp/tokens/${tokenId}`, bearer(ADMIN))).status, 200)
  await cut
  await eventually('the end at the upstream', () => upstream.requests.at(-1)?.aborted === true)
  const refused = await call('GET', '/v1/models', bearer(token))
  t.equal(refused.status, 401)
  t.match(JSON.parse(refused.text), { error: { code: 'SOAKP_TOKEN_REFUSED' } })
  t.match(refused.headers.get('x-should-retry'), 'false')
  const strict = await call('POST', '/soakp/tokens', json, '{"key_id":null,"unknown":1}')
  t.match(JSON.parse(strict.text), { error: { code: 'SOAKP_REQUEST_INVALID' } }, 'nothing is coerced or dropped')
  const own = await call('POST', '/soakp/tokens', { ...json, 'content-type': 'application/x-own' }, 'x')
  t.match([own.status, own.text], [415, /SOAKP_CONTENT_TYPE/], 'nor are parsers of the host used')
  const banned = await call('GET', '/v1/models', { 'x-banned': '1' })
  t.match([banned.status, banned.text], [500, /SOAKP_INTERNAL/], 'what the host’s hooks refuse stays refused')
})

test('and its other routes, parsers, errors and answers stay as they were', async (t) => {
  const { app, call, json } = await startHost(t)
  t.match(await call('POST', '/own/json', json, '{"n":"5"}'), { status: 200, text: '{"n":5}' }, 'its validator')
  const parsed: [type: string, expected: string][] = [
    ['text/plain', '{"body":"x"}'],
    ['application/x-own', '{"body":"own: x"}'],
  ]
  for (const [type, expected] of parsed) {
    t.equal((await call('POST', '/own/text', { 'content-type': type }, 'x')).text, expected, type)
  }
  const broken = await call('GET', '/own/broken')
  t.match(broken, { status: 418, text: 'host: broken' })
  for (const name of ['x-request-id', 'cache-control', 'x-should-retry', 'x-content-type-options']) {
    t.equal(broken.headers.get(name), null, name)
  }
  for (const path of ['/nothing', '/soakp/nothing']) {
    t.match(await call('GET', path), { status: 404, text: 'host: nothing here' })
  }
  const { jwt } = JSON.parse((await call('GET', '/own/login')).text) as { jwt: string }
  t.match((await call('GET', '/own/user', bearer(jwt))).text, /"user":7/, 'its JWTs')
  t.equal((await call('GET', '/v1/models', bearer(jwt))).status, 401, 'which are no tokens')
  t.equal('unsealed' in app || 'tokens' in app, false, 'the vault is out of its reach')
  t.equal(app.server.listenerCount('checkContinue'), 0)
})

test('the command finds a SOAKP that is a plugin, and closing the host closes it', async (t) => {
  const { app, dataDir } = await startHost(t)
  const socket = await readFile(join(dataDir, 'soakp.sock')).catch((error: NodeJS.ErrnoException) => error.code)
  t.equal(socket, 'ENXIO', 'there is a socket, which is no file to read')
  await app.close()
  const gone = await readFile(join(dataDir, 'soakp.sock')).catch((error: NodeJS.ErrnoException) => error.code)
  t.equal(gone, 'ENOENT')
})

test('a whole configuration is taken too; what would not work is refused in a sentence', async (t) => {
  const dataDir = await temporaryFolder(t)
  const { configuration } = readConfiguration({ SOAKP_DATA_DIR: dataDir, SOAKP_TLS: 'off' }, dataDir)
  const app = Fastify()
  t.teardown(() => app.close())
  await app.register(plugin, { configuration })
  t.equal((await app.inject('/soakp/ready')).statusCode, 200)
  const prefixed = Fastify()
  t.teardown(() => prefixed.close())
  await t.rejects(async () => prefixed.register(plugin, { configuration, prefix: '/ai' }), { code: 'SOAKP_PREFIX' })
  const limited = Fastify()
  t.teardown(() => limited.close())
  await limited.register(rateLimit, { max: 5 })
  const late = { code: 'SOAKP_ORDER', message: /before @fastify\/rate-limit/ }
  await t.rejects(async () => limited.register(plugin, { configuration }), late)
})
