import type { ServerResponse } from 'node:http'
import { connect as connectTwo } from 'node:http2'
import { once } from 'node:events'
import { test } from 'tap'
import { FLAGS, TYPES, frame, headerBlock } from './support/http2-frames.ts'
import { openFrames } from './support/http2-session.ts'
import type { FrameSession } from './support/http2-session.ts'
import { OK, startPassing } from './support/passing.ts'
import { PLAIN, bearer } from './support/refusals.ts'
import { startSoakp } from './support/soakp.ts'
import { closed, connect } from './support/sockets.ts'
import { eventually, openWire, requestText, send } from './support/wire.ts'

/** An error of SOAKP on the wire. */
const refusal = (status: number, code: string) =>
  new RegExp(
    String.raw`^HTTP/1\.1 ${status} .*\{"error":\{"message":"[^"]+\.","type":"\w+","code":"${code}","param":null\}\}`,
    's',
  )

test('as many calls run as may run in all; one more is refused before its body is read, and told to try again', async (t) => {
  const { soakp, upstream, authorization } = await startPassing(t, { SOAKP_PARALLEL_REQUESTS: '2' })
  upstream.answer(() => undefined)
  const { token } = { token: authorization.slice('Authorization: Bearer '.length) }
  const held = [
    await send(t, soakp, token, ['GET /v1/a HTTP/1.1']),
    await send(t, soakp, token, ['GET /v1/b HTTP/1.1']),
  ]
  await eventually('two calls', () => upstream.requests.length === 2)
  const refused = await send(t, soakp, token, ['POST /v1/c HTTP/1.1', 'Content-Length: 100000'])
  const answer = await refused.until(refusal(503, 'SOAKP_BUSY'))
  t.match(answer.toLowerCase(), /\r\nretry-after: 1\r\n/)
  t.match(answer.toLowerCase(), /\r\nx-should-retry: true\r\n/)
  const socket = [
    'Connection: Upgrade',
    'Upgrade: websocket',
    'Sec-WebSocket-Version: 13',
    'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
  ]
  await (await send(t, soakp, token, ['GET /v1/realtime HTTP/1.1', ...socket])).until(refusal(503, 'SOAKP_BUSY'))
  t.equal(upstream.requests.length, 2)
  held[0]?.socket.destroy()
  await eventually('a place', () => soakp.app.unsealed.liveCalls.size === 1)
  upstream.answer(({ wire }) => wire.write(OK))
  await (await send(t, soakp, token, ['GET /v1/d HTTP/1.1'])).until(/ok$/)
})

test('while all connections to an upstream are busy, a stated number of calls waits for a stated time', async (t) => {
  const queue = { SOAKP_UPSTREAM_CONNECTIONS: '1', SOAKP_UPSTREAM_QUEUE: '1' }
  const soakp = await startSoakp(t, { ...PLAIN, ...queue }, { limits: { upstreamQueueMs: 300 } })
  const { token } = await soakp.saveKey()
  let first: ServerResponse | undefined
  soakp.upstream.handle('GET', '/v1/first', (_request, response) => {
    first = response
    response.write('first')
  })
  const running = await send(t, soakp, token, ['GET /v1/first HTTP/1.1'])
  await running.until(/first/)
  const waiting = await send(t, soakp, token, ['GET /v1/models HTTP/1.1'])
  await eventually('it waits', () => soakp.app.unsealed.liveCalls.size === 2)
  const full = await soakp.call('POST', '/v1/chat/completions', { headers: bearer(token), body: {} })
  t.match(full, {
    status: 503,
    body: { error: { code: 'SOAKP_UPSTREAM_BUSY', type: 'server_error', message: /busy.*\.$/ } },
  })
  t.equal(waiting.text(), '', 'at once, while another waits')
  t.equal(full.headers.get('retry-after'), '1')
  t.equal(full.headers.get('x-should-retry'), 'true')
  await waiting.until(refusal(503, 'SOAKP_UPSTREAM_BUSY'))
  const next = await send(t, soakp, token, ['GET /v1/models HTTP/1.1'])
  await eventually('it waits', () => soakp.app.unsealed.liveCalls.size === 2)
  first?.end()
  await next.until(/^HTTP\/1\.1 200 /)
  t.equal(soakp.upstream.requests.length, 2, 'what was refused has cost the upstream nothing')
})

test('a body that is too long is refused before the upstream is asked, or cut, and never passes as complete', async (t) => {
  const { soakp, upstream, ask, authorization, pass } = await startPassing(t, { SOAKP_BODY_BYTES: '100000' })
  const tooLarge = refusal(413, 'SOAKP_BODY_TOO_LARGE')
  t.equal(
    (await pass(['POST /v1/x HTTP/1.1', 'Content-Length: 100000'], { body: 'x'.repeat(100_000) })).body.length,
    100_000,
  )
  const wire = await openWire(t, soakp)
  wire.write(requestText(['POST /v1/x HTTP/1.1', authorization, 'Content-Length: 100001', 'Expect: 100-continue']))
  t.match(await wire.until(/\}\}$/), tooLarge, 'and it is not told to go on')
  t.equal(upstream.requests.length, 1, 'a stated length costs the upstream nothing')
  const chunk = `4000\r\n${'x'.repeat(0x4000)}\r\n`
  const chunked = ['POST /v1/x HTTP/1.1', 'Transfer-Encoding: chunked']
  t.match(await ask(() => undefined, chunked, `${chunk.repeat(9)}0\r\n\r\n`), tooLarge)
  await eventually('the end of the upstream call', () => upstream.wires.at(-1)?.end !== undefined)
  t.notMatch(upstream.wires.at(-1)?.text(), /\r\n0\r\n\r\n$/, 'the upload was cut, not ended')
  t.equal((await pass([...chunked], { body: `${chunk.repeat(6)}0\r\n\r\n` })).body.length, 6 * 0x4000)
})

test('a body that is too long over HTTP/2 is answered 413, and the connection goes on', async (t) => {
  const soakp = await startSoakp(t, { SOAKP_BODY_BYTES: '100000' })
  const { token } = await soakp.saveKey()
  const client = connectTwo(soakp.address, { ca: soakp.authority ?? '' })
  t.teardown(() => client.destroy())
  const headers = { ':method': 'POST', ':path': '/v1/files', authorization: `Bearer ${token}` }
  for (const more of [{}, { 'content-length': '150000' }]) {
    const stream = client.request({ ...headers, ...more }, { endStream: false })
    stream.on('error', () => undefined)
    stream.end(Buffer.alloc(150_000))
    const [answer] = await once(stream, 'response')
    t.equal(answer[':status'], 413)
    stream.resume()
    await once(stream, 'close')
  }
  const stream = client.request({ ':path': '/v1/models', authorization: `Bearer ${token}` })
  t.match(await once(stream, 'response'), [{ ':status': 200 }])
})

test('a client that stops within what is expected of it is cut, and one that only takes its time is not', async (t) => {
  const { soakp, upstream, authorization } = await startPassing(t, {}, { clientIdleMs: 300 })
  const token = authorization.slice('Authorization: Bearer '.length)
  upstream.answer(({ line, wire }) => {
    if (line.includes('blocked')) wire.socket.pause()
  })
  const sized = await send(t, soakp, token, ['POST /v1/small HTTP/1.1', 'Content-Length: 9'], 'x')
  const streamed = await send(t, soakp, token, ['POST /v1/large HTTP/1.1', 'Content-Length: 99999999'], 'x')
  const length = 33_554_432
  const upload = ['POST /v1/blocked HTTP/1.1', `Content-Length: ${length}`]
  const blocked = await send(t, soakp, token, upload, 'x'.repeat(length))
  const patient = await send(t, soakp, token, ['GET /v1/patient HTTP/1.1'])
  const refused = [await openWire(t, soakp), await openWire(t, soakp), await openWire(t, soakp)]
  const endless = ['Authorization: Bearer wrong', 'Content-Length: 99999999']
  for (const [index, path] of ['/v1/x', '/nothing', '/%zz'].entries()) {
    refused[index]?.write(requestText([`POST ${path} HTTP/1.1`, ...endless], 'x'))
  }
  await eventually('three of them at the upstream', () => upstream.requests.length === 3)
  await Promise.all([sized, streamed].map((wire) => wire.until(refusal(408, 'SOAKP_REQUEST_TIMEOUT'))))
  const large = upstream.requests.find(({ line }) => line.includes('large'))
  await eventually('the end of the upstream call', () => large?.wire.end !== undefined)
  const statuses = await Promise.all(refused.map(async (wire) => (await wire.over()).slice(9, 12)))
  t.same(statuses, ['401', '404', '400'], 'a refused one cannot go on sending for ever')
  await Promise.all([sized.over(), streamed.over()])
  t.equal(patient.end, undefined, 'who waits for the upstream owes nothing')
  t.same([blocked.end, blocked.text()], [undefined, ''], 'nor does one whose body the upstream does not take')
  upstream.requests.find(({ line }) => line.includes('patient'))?.wire.write(OK)
  await patient.until(/ok$/)
  t.equal(upstream.requests.length, 3, 'a small body that never came whole has cost the upstream nothing')
})

test('a client that takes no byte of its answer is cut; one that takes a little now and then is not', async (t) => {
  const { soakp, upstream, authorization } = await startPassing(t, {}, { clientIdleMs: 800 })
  const token = authorization.slice('Authorization: Bearer '.length)
  upstream.answer(({ wire }) => {
    wire.write('HTTP/1.1 200 OK\r\n\r\n')
    const write = () => {
      while (!wire.socket.destroyed && wire.socket.write(Buffer.alloc(65_536)));
    }
    wire.socket.on('drain', write)
    write()
  })
  const deaf = await send(t, soakp, token, ['GET /v1/deaf HTTP/1.1'])
  deaf.socket.pause()
  const slow = await send(t, soakp, token, ['GET /v1/slow HTTP/1.1'])
  slow.socket.pause()
  const sip = setInterval(() => slow.socket.read(), 5)
  t.teardown(() => clearInterval(sip))
  await eventually('both', () => upstream.requests.length === 2)
  const wireOf = (name: string) => upstream.requests.find(({ line }) => line.includes(name))?.wire
  await eventually('the end of the deaf one', () => wireOf('deaf')?.end !== undefined)
  t.equal(wireOf('slow')?.end, undefined)
})

test('over HTTP/2 who stops within a body, or takes nothing of an answer, loses that stream and no other', async (t) => {
  const soakp = await startSoakp(t, {}, { limits: { clientIdleMs: 300 } })
  const { token } = await soakp.saveKey()
  soakp.upstream.handle('GET', '/v1/patient', () => undefined)
  soakp.upstream.handle('POST', '/v1/silent', () => undefined)
  soakp.upstream.handle('GET', '/v1/deaf', (_request, response) => {
    const write = () => {
      while (!response.destroyed && response.write(Buffer.alloc(65_536)));
    }
    response.on('drain', write)
    write()
  })
  const head = (method: string, path: string) =>
    headerBlock([
      [':method', method],
      [':scheme', 'https'],
      [':path', path],
      [':authority', 'localhost'],
      ['authorization', `Bearer ${token}`],
    ])
  // The second one gets no answer's body through: nobody there allows more than 65,535 bytes (RFC 9113 section 6.9.2).
  const [stopping, deaf] = [await openFrames(t, soakp), await openFrames(t, soakp)]
  await stopping.write(
    frame(TYPES.headers, FLAGS.endHeaders, 1, head('POST', '/v1/silent')),
    frame(TYPES.data, 0, 1, Buffer.from('x')),
    frame(TYPES.headers, FLAGS.endStream | FLAGS.endHeaders, 3, head('GET', '/v1/patient')),
  )
  await deaf.write(frame(TYPES.headers, FLAGS.endStream | FLAGS.endHeaders, 1, head('GET', '/v1/deaf')))
  const framesOf = (session: FrameSession, wanted: number) =>
    session.frames().filter(({ type, stream }) => stream === wanted && type !== TYPES.headers)
  await eventually('an answer', () => framesOf(stopping, 1).some(({ flags }) => (flags & FLAGS.endStream) !== 0))
  await eventually('a reset', () => framesOf(deaf, 1).some(({ type }) => type === TYPES.reset))
  t.match(String(Buffer.concat(framesOf(stopping, 1).map(({ payload }) => payload))), /"SOAKP_REQUEST_TIMEOUT"/)
  t.same(framesOf(stopping, 3), [], 'who waits for the upstream owes nothing')
  await eventually('one call', () => soakp.app.unsealed.liveCalls.size === 1)
  t.notOk(stopping.isOver() || deaf.isOver())
})

test('a call ends when it has taken as long as any may, stream or WebSocket', async (t) => {
  const soakp = await startSoakp(t, PLAIN, { limits: { callMs: 500 } })
  const { token } = await soakp.saveKey()
  soakp.upstream.handle('GET', '/v1/silent', () => undefined)
  soakp.upstream.handle('GET', '/v1/stream', (_request, response) => void response.write('data: 1'))
  const headers = bearer(token)
  const socket = await connect(t, `ws://localhost:${soakp.port}/v1/realtime?model=practice`, [], { headers })
  const stream = await send(t, soakp, token, ['GET /v1/stream HTTP/1.1'])
  const silent = await send(t, soakp, token, ['GET /v1/silent HTTP/1.1'])
  t.match(await closed(socket), { code: 1008, reason: 'the call took too long' })
  await silent.until(refusal(504, 'SOAKP_CALL_TOO_LONG'))
  t.match(await stream.over(), /data: 1\r\n$/, 'a stream is cut, not ended')
  await eventually('the end of the calls', () => soakp.app.unsealed.liveCalls.size === 0)
  await eventually('the end of the upstream calls', () =>
    soakp.upstream.requests.every(({ url, aborted }) => aborted || url.includes('realtime')),
  )
  t.equal((await soakp.call('GET', '/v1/models', { headers })).status, 200)
})
