import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import OpenAI from 'openai'
import { test } from 'tap'
import { WebSocketServer } from 'ws'
import { realtimeProtocols, soakp } from '../client/index.ts'
import type { SoakpOptions } from '../client/index.ts'
import { startSoakp } from './support/soakp.ts'

const address = 'https://ai.example.com'
const START_MS = 1_800_000_000_000
const REFUSED = { error: { message: 'x', type: 'authentication_error', code: 'SOAKP_TOKEN_REFUSED', param: null } }

/** Makes a text with the shape of SOAKP's tokens, good for so many seconds. */
function jwt(name: string, seconds: number): string {
  const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  return `${encode({ alg: 'HS256' })}.${encode({ sub: `ä?>~${name}`, exp: START_MS / 1000 + seconds })}.${name}`
}

interface Call {
  readonly url: string
  readonly headers: Headers
  readonly body: unknown
}

/** A server that refuses some tokens, a clock, and a token function that gives one token after another. */
function stage(tokens: readonly string[], refused: readonly string[] = [], refusal: object = REFUSED) {
  const calls: Call[] = []
  let asked = 0
  let timeMs = START_MS
  const options = {
    address,
    now: () => timeMs,
    token: async () => tokens[Math.min(asked++, tokens.length - 1)] ?? '',
    fetch: async (input, init) => {
      const headers = new Headers(init?.headers)
      calls.push({ url: input instanceof Request ? input.url : String(input), headers, body: init?.body })
      const token = headers.get('authorization')?.replace('Bearer ', '') ?? ''
      return refused.includes(token) ? Response.json(refusal, { status: 401 }) : Response.json({ object: 'list' })
    },
  } satisfies SoakpOptions & { fetch: typeof globalThis.fetch }
  return {
    ...soakp(options),
    calls,
    options,
    used: () => calls.map(({ headers }) => headers.get('authorization')?.replace('Bearer ', '')),
    asked: () => asked,
    pass: (seconds: number) => void (timeMs += seconds * 1000),
  }
}

test('soakp() is all that the SDK needs', async (t) => {
  const server = await startSoakp(t)
  const { id } = await server.saveKey()
  const minted: string[] = []
  const options: SoakpOptions = {
    address: server.address,
    fetch: (input, init) => fetch(input, { ...init, dispatcher: server.trusting } as object),
    async token() {
      const token = await server.mint(id, { expires_in: 600 })
      minted.push(token.id)
      return token.token
    },
  }
  const settings = soakp(options)
  const client = new OpenAI({ ...settings, maxRetries: 0 })
  t.match((await client.models.list()).data[0], { object: 'model' })
  t.match(await client.responses.create({ model: 'gpt-5-mini', input: 'Hi' }), { status: 'completed' })
  t.equal(minted.length, 1, 'one token for both calls')
  const me = await settings.fetch('/soakp/me')
  t.match(await me.json(), { id: minted[0] }, 'a path is enough')

  await server.manage('DELETE', `/soakp/tokens/${minted[0]}`)
  const file = new File(['x'.repeat(100_000)], 'x.txt')
  t.match(await client.files.create({ file, purpose: 'user_data' }), { bytes: 100_000 }, 'the upload is made again')
  t.equal(minted.length, 2)
})

test('a token is used until shortly before it expires', async (t) => {
  const [first, second] = [jwt('first', 600), jwt('second', 1200)]
  const { fetch, apiKey, used, pass } = stage([first, second])
  await fetch('/v1/models')
  pass(565)
  await fetch('/v1/models')
  t.strictSame(used(), [first, first])
  pass(10)
  t.equal(await apiKey(), second)
  await fetch('/v1/models')
  t.strictSame(used(), [first, first, second])
})

test('a token that lives for seconds is used for half of them', async (t) => {
  const { apiKey, asked, pass } = stage([jwt('first', 20), jwt('second', 600)])
  await apiKey()
  pass(9)
  await apiKey()
  t.equal(asked(), 1)
  pass(2)
  await apiKey()
  t.equal(asked(), 2)
})

test('where the clock is wrong, and with tokens that tell no time, only a refusal counts', async (t) => {
  for (const token of [jwt('late', -3600), 'opaque', 'a.b.c', `a.${btoa('{"exp":"soon"}')}.c`, `a.${btoa('null')}.c`]) {
    const { fetch, asked, pass } = stage([token])
    await fetch('/v1/models')
    pass(100_000_000)
    await fetch('/v1/models')
    t.equal(asked(), 1, token)
  }
})

test('calls that need a token at the same time wait for one', async (t) => {
  const { fetch, asked, calls } = stage(['old', 'new'], ['old'])
  const all = () => Promise.all(Array.from({ length: 5 }, () => fetch('/v1/models')))
  t.strictSame(
    (await all()).map(({ status }) => status),
    [200, 200, 200, 200, 200],
  )
  t.equal(asked(), 2, 'a first one, and one more when that was refused')
  t.equal(calls.length, 10)
})

test('a call that is refused is made once more, with another token and nothing else changed', async (t) => {
  const init = { method: 'POST', body: '{"a":1}', headers: { 'x-stainless-os': 'Linux', authorization: 'Bearer x' } }
  const { fetch, used, calls } = stage(['old', 'new'], ['old'])
  t.equal((await fetch(`${address}/v1/responses?a=b`, init)).status, 200)
  t.strictSame(used(), ['old', 'new'])
  for (const { url, headers, body } of calls) {
    t.strictSame([url, headers.get('x-stainless-os'), body], [`${address}/v1/responses?a=b`, 'Linux', init.body])
  }

  const twice = stage(['old', 'older', 'new'], ['old', 'older'])
  const answer = await twice.fetch('/v1/models')
  t.strictSame([answer.status, await answer.json()], [401, REFUSED], 'the second refusal is the answer')
  t.strictSame(twice.used(), ['old', 'older'])
  t.equal((await twice.fetch('/v1/models')).status, 200, 'the next call tries another')

  const same = stage(['old'], ['old'])
  t.strictSame(await (await same.fetch('/v1/models')).json(), REFUSED)
  t.equal(same.calls.length, 1, 'with the same token it is not made again')
})

test('a body that was streamed is not sent twice, but the next call has another token', async (t) => {
  const stream = () => new Blob(['x']).stream()
  const streamed = { method: 'POST', body: stream(), duplex: 'half' } as RequestInit
  const request = new Request(`${address}/v1/files`, { ...streamed, body: stream(), headers: { 'x-mine': 'yes' } })
  for (const [input, init] of [[`${address}/v1/files`, streamed] as const, [request, undefined] as const]) {
    const { fetch, used, calls } = stage(['old', 'new'], ['old'])
    t.equal((await fetch(input, init)).status, 401)
    t.equal((await fetch('/v1/models')).status, 200)
    t.strictSame(used(), ['old', 'new'])
    if (input === request) t.equal(calls[0]?.headers.get('x-mine'), 'yes')
  }
})

test('another 401 is not about the token', async (t) => {
  for (const body of [{ error: { code: 'invalid_api_key' } }, { error: 'x' }, {}]) {
    const { fetch, calls } = stage(['old', 'new'], ['old'], body)
    t.strictSame(await (await fetch('/v1/models')).json(), body)
    t.equal(calls.length, 1)
  }
})

test('the token goes to the address and nowhere else', async (t) => {
  const { fetch, used, asked } = stage(['secret'])
  for (const url of [
    'https://ai.example.com.evil.example/v1',
    'http://ai.example.com/v1',
    'https://ai.example.com:1/',
  ]) {
    await fetch(url)
    await fetch(new URL(url))
    await fetch(new Request(url))
  }
  t.equal(asked(), 0)
  t.ok(used().every((token) => token === undefined))
  await fetch(new URL(`${address}/v1/models`))
  t.equal(used().at(-1), 'secret')
})

test('a token function that fails is reported by the SDK and asked again by the next call', async (t) => {
  const results: unknown[] = [new Error('not logged in'), undefined, '', 'good']
  const token = async () => {
    const result = results.shift()
    if (result instanceof Error) throw result
    return result as string
  }
  const client = new OpenAI(soakp({ ...stage([]).options, token }))
  await t.rejects(client.models.list(), { message: /not logged in/ })
  await t.rejects(client.models.list(), { message: /has to return a token/ })
  await t.rejects(client.models.list(), { message: /has to return a token/ })
  t.match(await client.models.list(), {})
})

test('an address may end in a slash or have a path', async (t) => {
  const options = stage(['x']).options
  t.equal(soakp(options).baseURL, 'https://ai.example.com/v1')
  t.equal(soakp({ ...options, address: `${address}/` }).baseURL, 'https://ai.example.com/v1')
  t.equal(soakp({ ...options, address: `${address}/soakp` }).baseURL, 'https://ai.example.com/soakp/v1')
  t.throws(() => soakp({ ...options, address: 'ai.example.com' }), { code: 'ERR_INVALID_URL' })
})

test('the example for Realtime in docs/browser.md offers the token as a subprotocol', async (t) => {
  const docs = await readFile(new URL('../docs/browser.md', import.meta.url), 'utf8')
  const [, code = ''] = /<!-- run by test\/client\.test\.ts: realtime\.js -->\n```js\n([\s\S]*?)```/.exec(docs) ?? []
  const client = new URL('../client/index.ts', import.meta.url).href
  const example = code.replace("'soakp/browser'", `'${client}'`)
  const { openRealtime } = await import(`data:text/javascript,${encodeURIComponent(example)}`)
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', handleProtocols: () => 'realtime' })
  await once(server, 'listening')
  t.teardown(() => server.close())
  const connected = once(server, 'connection')
  const token = jwt('first', 600)
  const socket = await openRealtime(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, async () => token)
  const [, request] = await connected
  await once(socket, 'open')
  t.equal(request.url, '/v1/realtime?model=gpt-realtime')
  t.strictSame(request.headers['sec-websocket-protocol'].split(/, ?/), realtimeProtocols(token))
  t.equal(socket.protocol, 'realtime')
  const closed = once(socket, 'close')
  socket.close()
  await closed
})

test('the client imports nothing', async (t) => {
  const code = await readFile(new URL('../client/index.ts', import.meta.url), 'utf8')
  t.notMatch(code, /^(?:import|export) [^\n]* from |^import |import\(|require\(/m)
})
