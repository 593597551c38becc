import { createHash, randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import { test } from 'tap'
import type { EventStream } from '../index.ts'
import { connectWithin } from '../services/library/connection.ts'
import { createFetch } from '../services/library/fetch.ts'
import { collect } from './fixtures/openai.ts'
import { lastOf, startLibrary } from './support/library.ts'
import { eventually } from './support/wire.ts'

const model = 'gpt-5-mini'
const messages = [{ role: 'user' as const, content: 'Good morning' }]
const MIB = 1_048_576

test('a stream comes event by event as it is sent, and ends at [DONE]', async (t) => {
  const { soakp, upstream, token } = await startLibrary(t)
  const turn = { next: () => {} }
  upstream.handle('POST', '/v1/slow', async (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' })
    const parts = ['data: {"n":1}\n\n', ': a comment\n\nevent: x\r\nda', 'ta: {"n":\r', '\ndata: "ü"}\r\n\r\n']
    for (const part of [...parts, 'data:{"n":3}\r\rdata: [DONE]\n\ndata: {"n":4}\n\n']) {
      response.write(part)
      await new Promise<void>((resolve) => (turn.next = resolve))
    }
    response.end()
  })
  const stream = await soakp.request<EventStream>(token, 'slow', { stream: true })
  const seen: unknown[] = []
  const reading = (async () => {
    for await (const event of stream) {
      seen.push(event)
      turn.next()
    }
  })()
  await eventually('the first event, while no other was sent', () => seen.length === 1)
  const go = setInterval(() => turn.next(), 5)
  t.teardown(() => clearInterval(go))
  await reading
  t.strictSame(seen, [{ n: 1 }, { n: 'ü' }, { n: 3 }])
  const chunks = await soakp.request<EventStream>(token, 'chat/completions', { model, messages, stream: true })
  t.ok((await collect(chunks)).length > 3)
  upstream.handle('POST', '/v1/failing', (_request, response) => {
    response.setHeader('content-type', 'text/event-stream')
    response.end('data: {"n":1}\n\ndata: {"error":{"message":"Overloaded.","code":"busy"}}\n\n')
  })
  const failing = await soakp.request<EventStream>(token, 'failing', {})
  await t.rejects(collect(failing), { name: 'CallError', message: 'Overloaded.', code: 'busy', status: undefined })
})

test('leaving the loop, abort, a signal, a revocation and close each end the upstream call', async (t) => {
  const { soakp, upstream, token, wasEnded } = await startLibrary(t)
  upstream.handle('POST', '/v1/endless', (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    response.write('data: {}\n\n')
  })
  upstream.handle('POST', '/v1/never', () => undefined)
  const open = (jwt = token, signal?: AbortSignal) => soakp.request<EventStream>(jwt, 'endless', {}, { signal })
  for await (const _ of await open()) break
  await wasEnded()
  ;(await open()).abort()
  await wasEnded()
  const controller = new AbortController()
  const signalled = await open(token, controller.signal)
  const reading = t.rejects(collect(signalled), { name: 'AbortError' })
  controller.abort()
  await reading
  await wasEnded()
  const early = new AbortController()
  const calls = upstream.requests.length
  const never = soakp.request(token, 'never', {}, { signal: early.signal })
  await eventually('the call', () => upstream.requests.length > calls)
  early.abort(new Error('enough'))
  await t.rejects(never, { message: 'enough' })
  await wasEnded()
  await t.rejects(soakp.request(token, 'never', {}, { signal: AbortSignal.abort() }), { name: 'AbortError' })

  const other = await soakp.saveKey(upstream.key)
  const revoked = t.rejects(collect(await open(other)))
  await soakp.revoke(other)
  await revoked
  await wasEnded()
  await t.rejects(soakp.request(other, 'models'), { code: 'SOAKP_TOKEN_REFUSED' })
  const closed = t.rejects(collect(await open()))
  await soakp.close()
  await closed
  await wasEnded()
  t.match(await soakp.request(token, 'models'), { object: 'list' }, 'the next call begins anew')
})

test('uploads of any kind arrive as they are, large ones too, and a slow upstream slows them', async (t) => {
  const { soakp, upstream, token, wasEnded } = await startLibrary(t)
  upstream.handle('POST', '/v1/take', async (_request, response, readBody) => {
    await readBody()
    response.setHeader('content-type', 'application/json').end('{}')
  })
  const content = randomBytes(24 * MIB)
  const digest = createHash('sha256').update(content).digest('hex')
  const blob = new Blob([content])
  const bodies = { bytes: content, blob, stream: blob.stream(), iterable: pieces(content) }
  const take = (body: unknown) => soakp.request(token, 'take', body)
  const last = () => lastOf(upstream)
  const headerOf = (name: string) => last().rawHeaders[last().rawHeaders.findIndex((each) => each === name) + 1]
  for (const [kind, body] of Object.entries(bodies)) {
    await take(body)
    t.equal(last().bodySha256, digest, kind)
    const isKnown = kind === 'bytes' || kind === 'blob'
    t.equal(headerOf(isKnown ? 'content-length' : 'transfer-encoding'), isKnown ? `${content.length}` : 'chunked', kind)
  }
  for (const file of [new Blob(['small']), blob]) {
    const form = new FormData()
    form.append('purpose', 'assistants')
    form.append('file', file, 'ü.bin')
    const saved = await soakp.request(token, 'files', form)
    t.match(saved, { object: 'file', bytes: file.size, filename: 'ü.bin' })
  }
  let resume = () => {}
  upstream.handle('POST', '/v1/slow', (request) => void (resume = () => void request.resume()))
  let sent = 0
  const endless = new ReadableStream({ pull: (sink) => sink.enqueue(new Uint8Array((sent += MIB) && MIB)) })
  const controller = new AbortController()
  const stuck = soakp.request(token, 'slow', endless, { signal: controller.signal })
  await eventually('the call', () => last().url === '/v1/slow')
  let before = -1
  await eventually('a standstill', () => sent === before || ((before = sent), false))
  t.ok(sent < 64 * MIB, `${sent / MIB} MiB were taken from the stream`)
  controller.abort()
  await t.rejects(stuck, { name: 'AbortError' })
  // It does not look at what follows before it has read on.
  resume()
  await wasEnded()
  upstream.handle('POST', '/v1/early', (_request, response) => void response.writeHead(413).end('{}'))
  await t.rejects(soakp.request(token, 'early', blob.stream()), { message: /413/ }, 'an answer may come before the end')
})

async function* pieces(content: Uint8Array): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < content.length; at += 100_000) yield content.subarray(at, at + 100_000)
}

test('a connection within the process that the server breaks off is an error, before the answer and in it', async (t) => {
  const server = createServer((request, response) => {
    if (request.url !== '/in') return request.socket.destroy()
    response.write('begun')
    response.once('drain', () => request.socket.destroy())
    while (response.write('x'.repeat(65_536))) continue
    return undefined
  })
  const fetch = createFetch(async () => connectWithin(server))
  await t.rejects(fetch('/before'), { code: 'ECONNRESET' })
  const begun = await fetch('/in')
  t.equal(begun.status, 200)
  await t.rejects(begun.text(), { code: 'ECONNRESET' })
  t.equal(server.listening, false)
})
