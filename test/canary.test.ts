import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import OpenAI from 'openai'
import { test } from 'tap'
import { Agent, fetch } from 'undici'
import { startPracticeUpstream } from '../practice/upstream.ts'
import type { PracticeUpstream } from '../practice/upstream.ts'
import { isNowhere, readAll } from './support/canary.ts'
import { run, startServer } from './support/process.ts'
import type { ServerProcess } from './support/process.ts'

/** Everything that a client got to see, apart from the answers that are meant to give a token away. */
interface Seen {
  readonly answers: string[]
  readonly tokens: string[]
}

const KEY = `sk-proj-canary-${randomBytes(24).toString('hex')}`
const NEXT_KEY = `sk-svcacct-canary-${randomBytes(24).toString('hex')}`
const ADMIN = `soakp_admin_${randomBytes(32).toString('base64url')}`

test('after all of it, no key and no token is in any log, file, answer or error', async (t) => {
  const upstream = await startPracticeUpstream({ key: KEY })
  t.teardown(() => upstream.close())
  upstream.keys.add(NEXT_KEY)
  const server = await startServer(t, {
    SOAKP_ADMIN_TOKEN: ADMIN,
    SOAKP_UPSTREAM: upstream.url,
    SOAKP_LOG_LEVEL: 'debug',
    SOAKP_DRAIN_SECONDS: '1',
  })
  const authority = await readFile(join(server.dataDir, 'local-authority.pem'), 'utf8')
  const trusting = new Agent({ connect: { ca: authority } })
  t.teardown(() => trusting.destroy())

  const seen: Seen = { answers: [], tokens: [] }
  await useAll(seen, server, trusting, upstream)
  const command = run(t, process.execPath, ['bin/soakp.js', 'keys', 'list', '--json'], {
    environment: { SOAKP_DATA_DIR: server.dataDir },
  })
  const { stdout, stderr } = await command.ended
  const show = run(t, process.execPath, ['bin/soakp.js', 'keys', 'add', KEY], {
    environment: { SOAKP_DATA_DIR: server.dataDir },
  })
  const refused = await show.ended
  t.equal(refused.code, 2, 'a key as an argument is refused')
  seen.answers.push(stdout, stderr, refused.stdout, refused.stderr)
  const filesWhileRunning = await readAll(server.dataDir)
  server.kill('SIGTERM')
  const ended = await server.ended
  const filesAfterwards = await readAll(server.dataDir)

  t.equal(ended.code, 0)
  t.ok(seen.answers.length > 40, 'answers were collected')
  t.ok(seen.tokens.length >= 4, 'tokens were collected')
  t.ok(filesWhileRunning.length >= 4, 'files were read')
  t.match(ended.stdout, /request ended/, 'logs were collected')
  const places = {
    answers: Buffer.from(seen.answers.join('\n')),
    'standard output': Buffer.from(ended.stdout),
    'standard error': Buffer.from(ended.stderr),
    files: Buffer.concat([...filesWhileRunning, ...filesAfterwards]),
  }
  const secrets = {
    key: KEY,
    'replaced key': NEXT_KEY,
    admin: ADMIN,
    ...Object.fromEntries(Object.entries(seen.tokens)),
  }
  isNowhere(t, secrets, places)
})

/** Uses and misuses every way in, as the admin, as callers and as an attacker who controls the upstream. */
async function useAll(seen: Seen, server: ServerProcess, trusting: Agent, upstream: PracticeUpstream): Promise<void> {
  async function call(method: string, path: string, headers: Record<string, string>, body?: string): Promise<string> {
    const answer = await fetch(server.address + path, { method, headers, body: body ?? null, dispatcher: trusting })
    const text = await answer.text().catch((error: unknown) => String(error))
    const head = [...answer.headers].flat().join('\n')
    seen.answers.push(`${answer.status} ${answer.statusText}\n${head}\n${withoutGivenToken(path, method, text)}`)
    return text
  }
  const json = { 'content-type': 'application/json' }
  const admin = { authorization: `Bearer ${ADMIN}`, ...json }
  const manage = (method: string, path: string, body?: object) =>
    call(method, `/soakp${path}`, admin, body === undefined ? undefined : JSON.stringify(body))

  // Keys and tokens, as meant.
  const saved = JSON.parse(await manage('POST', '/keys', { key: KEY, name: 'canary' })) as SavedKey
  const minted = JSON.parse(await manage('POST', '/tokens', { key_id: saved.id })) as MintedToken
  const basic = { authorization: `Basic ${Buffer.from(`admin:${ADMIN}`).toString('base64')}`, ...json }
  const legacy = JSON.parse(await call('POST', '/get-jwt', basic, JSON.stringify({ key: KEY }))) as LegacyAnswer
  seen.tokens.push(saved.token.token, minted.token, legacy.data.jwt)
  for (const path of [
    `/keys/${saved.id}`,
    '/keys',
    '/tokens',
    `/tokens/${minted.id}`,
    '/health',
    '/ready',
    '/openapi.json',
  ]) {
    await manage('GET', path)
  }
  await manage('POST', `/keys/${saved.id}/check`)
  await manage('PATCH', `/keys/${saved.id}`, { name: 'renamed' })

  // Bad input that holds the key.
  for (const body of [`{"key":"${KEY}"`, `{"key":${KEY}}`, KEY, `"${KEY}"`, `{"key":"${KEY} x"}`, `{"${KEY}":1}`]) {
    await call('POST', '/soakp/keys', admin, body)
    await call('POST', '/soakp/keys', { ...admin, 'content-type': 'text/plain' }, body)
    await call('POST', '/jwt/generate', basic, body)
  }
  await manage('POST', '/keys', { key: KEY, base_url: `https://${KEY}@example.com` })
  await manage('POST', '/tokens', { key_id: KEY, name: KEY, origins: [KEY] })

  // Credentials in the wrong places.
  const token = minted.token
  const bearer = { authorization: `Bearer ${token}` }
  for (const path of [`/v1/models?key=${KEY}`, `/v1/${KEY}`, `/soakp/${KEY}`, `/${KEY}`, `/v1/models?token=${token}`]) {
    await call('GET', path, { authorization: `Bearer ${KEY}`, 'x-api-key': KEY })
    await call('GET', path, { authorization: `Basic ${token}` })
  }
  await call('GET', '/soakp/keys', { authorization: `Bearer ${token}` })
  await call('GET', `/%zz${KEY}`, {})

  // Calls as meant, by the SDK.
  const openai = new OpenAI({
    apiKey: token,
    baseURL: `${server.address}/v1`,
    maxRetries: 0,
    fetch: fetch as unknown as typeof globalThis.fetch,
    fetchOptions: { dispatcher: trusting },
  })
  const stream = await openai.responses.create({ model: 'practice-fast', input: 'hello', stream: true })
  for await (const event of stream) seen.answers.push(JSON.stringify(event))
  await openai.models.retrieve('no-such-model').catch((error: unknown) => seen.answers.push(String(error)))
  await call('GET', '/soakp/me', bearer)

  // An upstream that gives the key back in every way it can.
  upstream.handle(
    'GET',
    '/v1/echo/header',
    (_request, response) => void response.writeHead(200, { 'x-echo': KEY }).end('x'),
  )
  upstream.handle('GET', '/v1/echo/reason', (_request, response) => void response.writeHead(200, KEY).end('x'))
  upstream.handle('GET', '/v1/echo/body', (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    for (const letter of `data: ${KEY}\n\n`) response.write(letter)
    response.end()
  })
  upstream.handle('GET', '/v1/echo/403', (_request, response) => void response.writeHead(403).end(`no ${KEY}`))
  upstream.handle('GET', '/v1/echo/gzip', (_request, response) => {
    response.writeHead(500, { 'content-encoding': 'gzip' }).end(gzipSync(`no ${KEY}`))
  })
  upstream.handle('GET', '/v1/echo/401', (_request, response) => void response.writeHead(401).end(`bad key ${KEY}`))
  upstream.handle('GET', '/v1/echo/reset', (_request, response) => void response.destroy(new Error(KEY)))
  for (const way of ['header', 'reason', 'body', '403', 'gzip', '401', 'reset']) {
    await call('GET', `/v1/echo/${way}`, bearer).catch((error: unknown) => seen.answers.push(String(error)))
  }

  // Replace, revoke, delete; then an upstream that is gone.
  await manage('PUT', `/keys/${saved.id}/value`, { key: NEXT_KEY })
  await call('GET', '/v1/models', bearer)
  await manage('DELETE', `/tokens/${minted.id}`)
  await call('GET', '/v1/models', bearer)
  const last = JSON.parse(await manage('POST', '/tokens', { key_id: saved.id })) as MintedToken
  seen.tokens.push(last.token)
  await upstream.close()
  await call('GET', '/v1/models', { authorization: `Bearer ${last.token}` })
  await manage('POST', `/keys/${saved.id}/check`)
  await manage('DELETE', `/keys/${saved.id}`)
}

interface SavedKey {
  readonly id: string
  readonly token: MintedToken
}

interface MintedToken {
  readonly id: string
  readonly token: string
}

interface LegacyAnswer {
  readonly data: { readonly jwt: string }
}

/** Three answers are meant to hold a token, once; everything else of them is searched. */
function withoutGivenToken(path: string, method: string, text: string): string {
  const gives = method === 'POST' && ['/soakp/keys', '/soakp/tokens', '/get-jwt'].includes(path)
  return gives ? text.replace(/"(token|jwt)":"[\w.-]+"/, '"$1":"given"') : text
}
