import { connect, constants } from 'node:http2'
import type { ClientHttp2Session, ClientHttp2Stream, IncomingHttpHeaders } from 'node:http2'
import { once } from 'node:events'
import OpenAI from 'openai'
import { test } from 'tap'
import type { Test } from 'tap'
import { Agent, fetch } from 'undici'
import { startSoakp } from './support/soakp.ts'
import type { TestSoakp } from './support/soakp.ts'
import { eventually } from './support/wire.ts'

function session(t: Test, soakp: TestSoakp): ClientHttp2Session {
  const client = connect(soakp.address, { ca: soakp.authority ?? '' })
  t.teardown(() => client.destroy())
  return client
}

async function exchange(
  client: ClientHttp2Session,
  headers: Record<string, string | string[]>,
  body?: string,
): Promise<{ status: number; headers: IncomingHttpHeaders; body: string }> {
  const stream = client.request(headers, { endStream: body === undefined })
  if (body !== undefined) stream.end(body)
  const [answer] = (await once(stream, 'response')) as [IncomingHttpHeaders & { ':status': number }]
  return { status: answer[':status'], headers: answer, body: await textOf(stream) }
}

async function textOf(stream: ClientHttp2Stream): Promise<string> {
  let text = ''
  for await (const chunk of stream) text += String(chunk)
  return text
}

test('the SDK works over HTTP/2 as over HTTP/1.1, on the same port', async (t) => {
  const soakp = await startSoakp(t)
  const { token } = await soakp.saveKey()
  const dispatcher = new Agent({ allowH2: true, connect: { ca: soakp.authority } })
  t.teardown(() => dispatcher.destroy())
  const openai = new OpenAI({
    apiKey: token,
    baseURL: `${soakp.address}/v1`,
    maxRetries: 0,
    fetch: fetch as unknown as typeof globalThis.fetch,
    fetchOptions: { dispatcher },
  })
  const messages = [{ role: 'user' as const, content: 'over two' }]
  const stream = await openai.chat.completions.create({ model: 'practice-fast', messages, stream: true })
  let text = ''
  for await (const chunk of stream) text += chunk.choices[0]?.delta.content ?? ''
  t.match(text, /over two/)
  const [parallel, plain] = await Promise.all([
    openai.embeddings.create({ model: 'x', input: 'a' }),
    soakp.openai(token).chat.completions.create({ model: 'practice-fast', messages }),
  ])
  t.equal(parallel.data.length, 1)
  t.match(plain.choices[0]?.message.content, /over two/)
  const error: unknown = await openai.models.retrieve('no-such-model').catch((refusal: unknown) => refusal)
  t.match(error, { status: 404, requestID: /^req_/ })
})

test('an HTTP/2 request goes on as HTTP/1.1 without its pseudo headers, with its body and length', async (t) => {
  const soakp = await startSoakp(t)
  const { token } = await soakp.saveKey()
  const client = session(t, soakp)
  const authorization = `Bearer ${token}`
  soakp.upstream.handle('*', '/v1/echo', async (_request, response, readBody) => {
    const body = await readBody()
    response.writeHead(200, ['X-Twice', 'one', 'X-Twice', 'two', 'Connection', 'close', 'Content-Type', 'text/plain'])
    response.end(body)
  })
  const sized = await exchange(
    client,
    { ':method': 'POST', ':path': '/v1/echo?a=%20', authorization, 'content-length': '5', 'x-new-feature': 'yes' },
    'bytes',
  )
  t.match(sized, { status: 200, body: 'bytes', headers: { 'x-twice': 'one, two' } })
  const unsized = await exchange(client, { ':method': 'POST', ':path': '/v1/echo', authorization }, 'x'.repeat(200_000))
  t.equal(unsized.body.length, 200_000)
  const bodiless = await exchange(client, { ':path': '/v1/echo', authorization })
  t.equal(bodiless.body, '')
  const [first, second, third] = soakp.upstream.requests
  t.equal(first?.url, '/v1/echo?a=%20')
  const names = first?.rawHeaders.filter((_each, index) => index % 2 === 0).map((name) => name.toLowerCase()) ?? []
  t.ok(names.includes('x-new-feature'))
  t.notOk(names.some((name) => name.startsWith(':') || name === 'transfer-encoding'))
  t.equal(second?.bodyBytes, 200_000)
  t.equal(third?.bodyBytes, 0)
})

test('a client that cancels its stream ends the upstream call, and the connection goes on', async (t) => {
  const soakp = await startSoakp(t)
  const { token } = await soakp.saveKey()
  const client = session(t, soakp)
  const headers = { ':method': 'POST', ':path': '/v1/chat/completions', authorization: `Bearer ${token}` }
  const stream = client.request({ ...headers, 'content-type': 'application/json' })
  stream.end(JSON.stringify({ model: 'practice-slow', stream: true, messages: [{ role: 'user', content: 'x' }] }))
  stream.on('error', () => undefined)
  await once(stream, 'data')
  stream.close(constants.NGHTTP2_CANCEL)
  await eventually('the upstream call ends', () => soakp.upstream.requests[0]?.aborted === true)
  await eventually('the call is over here', () => soakp.app.unsealed.liveCalls.size === 0)
  const answer = await exchange(client, { ':path': '/v1/models', authorization: `Bearer ${token}` })
  t.equal(answer.status, 200)
})

test('a revoked stream is reset, not ended as if it were whole', async (t) => {
  const soakp = await startSoakp(t)
  const { token, tokenId } = await soakp.saveKey()
  const client = session(t, soakp)
  const headers = { ':method': 'POST', ':path': '/v1/chat/completions', authorization: `Bearer ${token}` }
  const stream = client.request({ ...headers, 'content-type': 'application/json' })
  stream.end(JSON.stringify({ model: 'practice-slow', stream: true, messages: [{ role: 'user', content: 'x' }] }))
  await once(stream, 'data')
  const ended = once(stream, 'error')
  await soakp.manage('DELETE', `/soakp/tokens/${tokenId}`)
  await ended
  t.not(stream.rstCode, constants.NGHTTP2_NO_ERROR)
})

test('an HTTP/2 request with two hosts is refused', async (t) => {
  const soakp = await startSoakp(t)
  const { token } = await soakp.saveKey()
  const client = session(t, soakp)
  const authorization = `Bearer ${token}`
  const hosts = { ':authority': 'localhost', host: 'evil.example' }
  const twoHosts = await exchange(client, { ':path': '/v1/models', authorization, ...hosts })
  t.match(twoHosts, { status: 400, body: /SOAKP_REQUEST_AMBIGUOUS/ })
  t.equal(soakp.upstream.requests.length, 0)
})

test('stopping lets a running HTTP/2 stream end and takes no new one', async (t) => {
  const soakp = await startSoakp(t, { SOAKP_DRAIN_SECONDS: '5' })
  const { token } = await soakp.saveKey()
  const client = session(t, soakp)
  let finish: () => void = () => undefined
  soakp.upstream.handle('GET', '/v1/long', (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write('data: 1\n\n')
    finish = () => void response.end('data: 2\n\n')
  })
  const stream = client.request({ ':path': '/v1/long', authorization: `Bearer ${token}` })
  await once(stream, 'readable')
  const closed = soakp.app.close()
  await once(client, 'goaway')
  finish()
  t.equal(await textOf(stream), 'data: 1\n\ndata: 2\n\n')
  await closed
})
