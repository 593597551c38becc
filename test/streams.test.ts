import { once } from 'node:events'
import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { connect as connectHttp2, createSecureServer } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import { test } from 'tap'
import type { Test } from 'tap'
import type { Dispatcher } from 'undici'
import { relay } from '../services/relay.ts'
import { createUpstreamPlaces } from '../services/upstream-places.ts'
import { issue } from './support/certificates.ts'
import { RAW_KEY, startPassing } from './support/passing.ts'
import { startSoakp } from './support/soakp.ts'
import type { TestSoakp } from './support/soakp.ts'
import { answerText, eventually, openWire, requestText, startRawUpstream } from './support/wire.ts'
import type { Wire } from './support/wire.ts'

const HEAD = ['HTTP/1.1 200 OK', 'Content-Type: text/event-stream', 'Transfer-Encoding: chunked']
const EVENTS = 50

const chunk = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`
const event = (index: number) => `data: {"index":${index}}\n\n`

test('each server-sent event leaves before the next one comes, with its own chunk', async (t) => {
  const { soakp, upstream, authorization } = await startPassing(t)
  let far: Wire | undefined
  upstream.answer(({ wire }) => (far = wire).write(answerText(HEAD)))
  const client = await openWire(t, soakp)
  client.write(requestText(['GET /v1/stream HTTP/1.1', authorization]))
  const head = await client.until(/\r\n\r\n/)
  let expected = head
  for (let index = 0; index < EVENTS; index += 1) {
    far?.write(chunk(event(index)))
    expected += chunk(event(index))
    // The next one is not sent before: what waited for more, or for a full buffer, would wait for ever.
    await eventually(`event ${index}`, () => client.text().length >= expected.length)
    if (client.text() !== expected) break
  }
  t.equal(client.text(), expected)
})

test('over HTTP/2 each server-sent event leaves before the next one comes', async (t) => {
  const upstream = await startRawUpstream(t)
  const soakp: TestSoakp = await startSoakp(t, { SOAKP_UPSTREAM: upstream.url })
  const { token } = await soakp.saveKey({ key: RAW_KEY })
  let far: Wire | undefined
  upstream.answer(({ wire }) => (far = wire).write(answerText(HEAD)))
  const session = connectHttp2(soakp.address, { ca: soakp.authority ?? '' })
  t.teardown(() => session.destroy())
  const stream = session.request({ ':path': '/v1/stream', authorization: `Bearer ${token}` })
  await once(stream, 'response')
  for (let index = 0; index < EVENTS; index += 1) {
    const came = once(stream, 'data')
    far?.write(chunk(event(index)))
    t.equal(String(await came), event(index))
  }
})

test('an end of an event that looks like the beginning of the key is held back, and not one byte more', async (t) => {
  const { soakp, upstream, authorization } = await startPassing(t)
  let far: Wire | undefined
  upstream.answer(({ wire }) => (far = wire).write(answerText(HEAD)))
  const client = await openWire(t, soakp)
  client.write(requestText(['GET /v1/stream HTTP/1.1', authorization]))
  await client.until(/\r\n\r\n/)
  for (const held of ['', 's', 'sk-', RAW_KEY.slice(0, -1)]) {
    const before = client.text().length
    far?.write(chunk(`event${held}`))
    await eventually('what may leave', () => client.text().length >= before + chunk('event').length)
    t.equal(client.text().slice(before), chunk('event'), `held: ${held}`)
    far?.write(chunk('.'))
    await eventually('the rest', () => client.text().length >= before + (chunk('event') + chunk(`${held}.`)).length)
    t.equal(client.text().slice(before), chunk('event') + chunk(`${held}.`))
  }
})

/** Serves one request with the relay alone, before an upstream that a test plays by hand. */
async function relayByHand(t: Test, isHttp2: boolean) {
  const { cert, key } = await issue('localhost')
  const dispatched = Promise.withResolvers<Dispatcher.DispatchHandler>()
  const responses = Promise.withResolvers<ServerResponse>()
  const dispatcher = {
    dispatch: (_options: unknown, handler: Dispatcher.DispatchHandler) => dispatched.resolve(handler),
  }
  const places = createUpstreamPlaces({ most: 1, queue: 0, queueMs: 1_000 })
  const serve = (request: IncomingMessage, response: ServerResponse) => {
    responses.resolve(response)
    const path = { dispatcher: dispatcher as unknown as Dispatcher, places }
    const call = { request, response, origin: 'http://a.test', path: '/', headers: [], answerHeaders: [], key: RAW_KEY }
    relay(path, { ...call, answerMs: 1_000, mostBytes: 1_000, beforeHead: () => undefined })
  }
  const server = isHttp2 ? createSecureServer({ cert, key }, serve as never) : createServer(serve)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  if (isHttp2) {
    const session = connectHttp2(`https://localhost:${port}`, { rejectUnauthorized: false })
    t.teardown(() => session.destroy())
    session
      .request({ ':path': '/' })
      .on('error', () => undefined)
      .resume()
  } else {
    const wire = await openWire(t, { port, authority: undefined } as TestSoakp)
    wire.write(requestText(['GET / HTTP/1.1']))
  }
  t.teardown(() => server.close())
  return { handler: await dispatched.promise, response: await responses.promise }
}

for (const isHttp2 of [false, true]) {
  test(`a server-sent event leaves within the same turn of the loop as it came, over HTTP/${isHttp2 ? 2 : 1.1}`, async (t) => {
    const { handler, response } = await relayByHand(t, isHttp2)
    handler.onConnect?.(() => undefined)
    handler.onHeaders?.(200, HEAD_BYTES, () => undefined, 'OK')
    // Bytes that the connection itself has written, encrypted over HTTP/2.
    const { socket } = response
    const written = () => socket?.bytesWritten ?? 0
    for (let index = 0; index < EVENTS; index += 1) {
      await setTimeout(0)
      const before = written()
      const atEndOfTurn = new Promise<number>((resolve) => {
        // Asked for before the event comes, so that nothing which the event asks for can be earlier.
        setImmediate(() => resolve(written()))
        handler.onData?.(Buffer.from(event(index)))
      })
      t.ok((await atEndOfTurn) - before >= event(index).length, `event ${index}`)
    }
  })
}

const HEAD_BYTES = ['Content-Type', 'text/event-stream'].map((text) => Buffer.from(text))
