import { once } from 'node:events'
import { connect as connectHttp2, constants } from 'node:http2'
import type { ClientHttp2Stream, OutgoingHttpHeaders } from 'node:http2'
import { test } from 'tap'
import type { Test } from 'tap'
import * as h2 from './support/http2-frames.ts'
import { openFrames } from './support/http2-session.ts'
import { RAW_KEY } from './support/passing.ts'
import { startSoakp } from './support/soakp.ts'
import { HANDSHAKE, frame, switchingText } from './support/sockets.ts'
import { answerText, eventually, openWire, requestText, startRawUpstream } from './support/wire.ts'
import type { Wire } from './support/wire.ts'

const CHUNKED = 'Transfer-Encoding: chunked'
/** The first byte of a close frame. */
const CLOSE = 0x88
const LONG = 'x'.repeat(100_000)

/** A SOAKP before a raw upstream, over plain HTTP or over TLS. */
async function start(t: Test, tls: 'off' | 'local') {
  const upstream = await startRawUpstream(t)
  const soakp = await startSoakp(t, { SOAKP_TLS: tls, SOAKP_UPSTREAM: upstream.url })
  const { token } = await soakp.saveKey({ key: RAW_KEY })
  const { liveCalls } = soakp.app.unsealed
  const isOver = () => eventually('the end of the call', () => liveCalls.size === 0)

  function ask(lines: readonly string[], body = ''): Promise<Wire> {
    return openWire(t, soakp).then((wire) => {
      wire.write(requestText([...lines, `Authorization: Bearer ${token}`], body))
      return wire
    })
  }

  const session = tls === 'off' ? undefined : connectHttp2(soakp.address, { ca: soakp.authority ?? '' })
  t.teardown(() => session?.destroy())
  function stream(headers: OutgoingHttpHeaders): ClientHttp2Stream {
    if (session === undefined) throw new Error('HTTP/2 needs TLS')
    return session
      .request({ ':path': '/v1/x', authorization: `Bearer ${token}`, ...headers })
      .on('error', () => undefined)
  }

  return { soakp, upstream, token, ask, stream, isOver }
}

/** How an upload is begun by bytes, by its frame. */
const uploads: Readonly<Record<string, readonly [line: string, body: string]>> = {
  'a short body of known length': ['Content-Length: 9', 'part'],
  'a body of known length': ['Content-Length: 300000', LONG],
  'a body of known length but for its last byte': ['Content-Length: 100001', LONG],
  'chunks without the last one': [CHUNKED, `${LONG.length.toString(16)}\r\n${LONG}\r\n`],
  'a chunk that is not whole': [CHUNKED, `ffffff\r\n${LONG}`],
  'chunks without the end after the last one': [CHUNKED, '4\r\nbody\r\n0\r\n'],
  'chunks without the end of their trailers': [CHUNKED, '4\r\nbody\r\n0\r\nX-T: 1\r\n'],
}

for (const tls of ['off', 'local'] as const) {
  test(`SOAKP_TLS=${tls}: a body that its client cuts short arrives cut short, never as complete`, async (t) => {
    const { upstream, ask, isOver } = await start(t, tls)
    // An answer would end the call before its body is cut.
    upstream.answer(() => undefined)
    for (const [title, [line, body]] of Object.entries(uploads)) {
      for (const how of ['end', 'destroy'] as const) {
        const before = upstream.requests.length
        const wire = await ask(['POST /v1/x HTTP/1.1', line], body)
        const isShort = body === 'part'
        if (!isShort) await eventually('the upload', () => isReached(upstream.requests[before]?.wire, body))
        wire.socket[how]()
        await isOver()
        if (isShort) {
          t.equal(upstream.requests.length, before, `${title}: the upstream was not even asked`)
          continue
        }
        const request = upstream.requests[before]
        t.ok(await isCut(request?.wire), `${title}, ${how}`)
      }
    }
  })
}

const isReached = (wire: Wire | undefined, body: string) => wire?.text().includes(body.slice(-400, -350)) ?? false

/** Waits for the end of a request's connection; tells whether what came is no whole message. */
async function isCut(wire: Wire | undefined): Promise<boolean> {
  const text = (await wire?.over()) ?? ''
  const [head = '', ...rest] = text.split('\r\n\r\n')
  if (/transfer-encoding: chunked/i.test(head)) return !/\r\n0\r\n(?:.*\r\n)?\r\n$/s.test(text)
  const length = /content-length: (\d+)/i.exec(head)?.[1]
  return length !== undefined && rest.join('\r\n\r\n').length < Number(length)
}

test('over HTTP/2 a body that its client cuts short arrives cut short, never as complete', async (t) => {
  const { soakp, upstream, token, isOver } = await start(t, 'local')
  upstream.answer(() => undefined)
  const piece = 'x'.repeat(10_000)
  const resetBy = (code: number) => [h2.frame(h2.TYPES.reset, 0, 1, Buffer.from([0, 0, 0, code]))]
  const cuts: Readonly<Record<string, readonly Buffer[]>> = {
    'a reset without an error': resetBy(constants.NGHTTP2_NO_ERROR),
    'a cancellation': resetBy(constants.NGHTTP2_CANCEL),
    'a reset by an error': resetBy(constants.NGHTTP2_INTERNAL_ERROR),
    'the end before the announced length': [h2.frame(h2.TYPES.data, h2.FLAGS.endStream, 1)],
    'more than the announced length': [h2.frame(h2.TYPES.data, h2.FLAGS.endStream, 1, Buffer.alloc(15_000))],
    'the end of the connection': [],
  }
  for (const [title, frames] of Object.entries(cuts)) {
    for (const length of title.includes('length') ? ['20000'] : ['90000', undefined]) {
      const session = await openFrames(t, soakp)
      const before = upstream.requests.length
      const pseudo = { ':method': 'POST', ':scheme': 'https', ':authority': 'localhost', ':path': '/v1/x' }
      const sized = length === undefined ? {} : { 'content-length': length }
      const block = h2.headerBlock(Object.entries({ ...pseudo, authorization: `Bearer ${token}`, ...sized }))
      const body = h2.frame(h2.TYPES.data, 0, 1, Buffer.from(piece))
      await session.write(h2.frame(h2.TYPES.headers, h2.FLAGS.endHeaders, 1, block), body)
      const isSmall = length === '20000'
      if (!isSmall) await eventually('the upload', () => isReached(upstream.requests[before]?.wire, piece))
      await session.write(...frames)
      if (frames.length === 0) session.socket.destroy()
      const isEnded = () => session.isOver() || session.frames().some(({ type }) => type === h2.TYPES.reset)
      if (isSmall) await eventually('an end', isEnded)
      await isOver()
      if (isSmall) t.equal(upstream.requests.length, before, `${title}: the upstream was not even asked`)
      else t.ok(await isCut(upstream.requests[before]?.wire), `${title}, ${length ?? 'no'} length`)
    }
  }
})

test('over HTTP/2 an answer that its upstream cuts short is reset, never ended as complete', async (t) => {
  const { upstream, stream, isOver } = await start(t, 'local')
  const answers = {
    'a length': answerText(['HTTP/1.1 200 OK', 'Content-Length: 9'], 'part'),
    chunks: answerText(['HTTP/1.1 200 OK', CHUNKED], '4\r\npart\r\n'),
    'chunks without the end after the last one': answerText(['HTTP/1.1 200 OK', CHUNKED], '4\r\npart\r\n0\r\n'),
    'no frame': answerText(['HTTP/1.1 200 OK'], 'part'),
  }
  for (const [title, answer] of Object.entries(answers)) {
    for (const how of ['destroySoon', 'resetAndDestroy'] as const) {
      // An answer without a frame is whole where its connection is ended as it should be.
      if (title === 'no frame' && how === 'destroySoon') continue
      let wire: Wire | undefined
      upstream.answer((request) => (wire = request.wire).write(answer))
      const each = stream({})
      const closed = new Promise((resolve) => each.once('close', resolve))
      const [chunk] = (await once(each, 'data')) as [Buffer]
      wire?.socket[how]()
      await closed
      await isOver()
      t.equal(String(chunk), 'part')
      t.not(each.rstCode, constants.NGHTTP2_NO_ERROR, `${title}, ${how}`)
    }
  }
})

test('a message that one side of a WebSocket cuts short never arrives as complete', async (t) => {
  const { upstream, ask, isOver } = await start(t, 'off')
  const part = (isMasked: boolean) => frame('part', { bits: 0, isMasked })
  const cutFrame = (isMasked: boolean) => frame('all of it', { isMasked }).slice(0, -2)
  upstream.answer(({ wire, headers }) => wire.write(switchingText(headers)))
  for (const [title, bytes] of Object.entries({ 'a fragment': part, 'a part of a frame': cutFrame })) {
    for (const how of ['end', 'destroy'] as const) {
      for (const from of ['client', 'upstream'] as const) {
        const before = upstream.requests.length
        const client = await ask(['GET /v1/realtime HTTP/1.1', ...HANDSHAKE])
        await client.until(/\r\n\r\n/)
        const far = upstream.requests[before]?.wire
        if (far === undefined) throw new Error('nothing reached the upstream')
        const [sender, receiver] = from === 'client' ? [client, far] : [far, client]
        const sinceAt = receiver.text().length
        sender.write(bytes(from === 'client'))
        sender.socket[how]()
        const got = (await receiver.over()).slice(sinceAt)
        t.notMatch(got, /part|all/, `${title} of the ${from}, ${how}`)
        t.ok(got === '' || got.charCodeAt(0) === CLOSE, 'no message, at most a close')
        await isOver()
      }
    }
  }
})

test('a pipelined answer that its upstream cut short while it waited for the one before it kept its client for ever', async (t) => {
  const { upstream, soakp, token } = await start(t, 'off')
  const requests: Wire[] = []
  upstream.answer(({ wire }) => requests.push(wire))
  const wire = await openWire(t, soakp)
  wire.write(requestText(['GET /v1/x HTTP/1.1', `Authorization: Bearer ${token}`]).repeat(2))
  await eventually('both calls', () => requests.length === 2)
  requests[1]?.write(answerText(['HTTP/1.1 200 OK', 'Content-Length: 9'], 'part'))
  requests[1]?.socket.end()
  await eventually('the end of the second', () => soakp.app.unsealed.liveCalls.size === 1)
  requests[0]?.write(answerText(['HTTP/1.1 200 OK', 'Content-Length: 3'], 'one'))
  t.match(await wire.over(), /^HTTP\/1\.1 200 OK\r\n.*\r\n\r\none$/s)
})
