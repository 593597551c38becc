import { once } from 'node:events'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { test } from 'tap'
import type { Test } from 'tap'
import { HIDDEN, ambiguousHttp2 } from './fixtures/ambiguous-http2.ts'
import { startHaproxyFront, startNginxFront } from './support/fronts.ts'
import { needs } from './support/process.ts'
import { PLAIN } from './support/refusals.ts'
import { startSoakp } from './support/soakp.ts'
import { settled } from './support/sockets.ts'
import { FLAGS, PREFACE, TYPES, connectHttp2, frame, headerBlock, readFrames, request } from './support/http2-frames.ts'
import type { Frame, RawHeader } from './support/http2-frames.ts'
import { answerText, eventually, startRawUpstream } from './support/wire.ts'

async function setUp(t: Test, environment = {}) {
  const upstream = await startRawUpstream(t)
  upstream.answer(async ({ body, wire }) => {
    await body()
    wire.write(answerText(['HTTP/1.1 200 OK', 'Content-Length: 2'], 'ok'))
  })
  const soakp = await startSoakp(t, { ...environment, SOAKP_UPSTREAM: upstream.url })
  const { token } = await soakp.saveKey()
  const head: RawHeader[] = [
    [':method', 'POST'],
    [':scheme', 'https'],
    [':path', '/v1/main'],
    [':authority', 'localhost'],
    ['authorization', `Bearer ${token}`],
  ]
  const open = () => connectHttp2(soakp.port, soakp.authority ?? '')
  return { upstream, soakp, head, open }
}

/** Sends frames on a connection of their own, and a ping; resolves when an answer, a reset or the end of all has come. */
async function sendFrames(t: Test, open: () => Promise<Socket>, bytes: Buffer): Promise<Frame[]> {
  const socket = await open()
  t.teardown(() => socket.destroy())
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  socket.write(Buffer.concat([PREFACE, bytes, frame(TYPES.ping, 0, 0, Buffer.alloc(8))]))
  const frames = () => readFrames(Buffer.concat(chunks))
  const isOver = () => {
    const came = frames()
    const isAnswered = came.some(({ stream, type, flags }) => {
      return stream === 1 && (type === TYPES.reset || ((type === TYPES.data || type === TYPES.headers) && flags & 1))
    })
    return socket.closed || isAnswered || came.some(({ type }) => type === TYPES.goaway)
  }
  await eventually('an answer, a reset or the end', isOver)
  socket.destroy()
  return frames()
}

const bodyOf = (frames: readonly Frame[]) =>
  frames.flatMap(({ type, payload }) => (type === TYPES.data ? [payload.toString()] : [])).join('')

test('what HTTP/2 would let be read in two ways as HTTP/1.1 is refused and costs the upstream nothing', async (t) => {
  const { upstream, soakp, head, open } = await setUp(t)
  const cases = ambiguousHttp2(head)
  const answers = await Promise.all(
    Object.entries(cases).map(async ([title, [headers, body]]) => {
      const frames = await sendFrames(t, open, request(1, headers, body))
      return [title, bodyOf(frames)] as const
    }),
  )
  await settled(() => upstream.requests.length)
  // With a body that turns out shorter or longer than its length, the call is under way, and cut.
  const bytes = upstream.wires.map((wire) => wire.text()).join('')
  t.notMatch(bytes, /hidden/i)
  t.notMatch(bytes, /^GET|evil/m)
  for (const [title, body] of answers) t.ok(body === '' || /SOAKP_/.test(body), `${title}: ${body.slice(0, 90)}`)
  t.ok(upstream.requests.length <= 2, 'nothing else came')
  t.equal((await soakp.call('GET', '/soakp/health')).status, 200)
})

for (const [front, start] of [
  ['nginx', startNginxFront],
  ['HAProxy', startHaproxyFront],
] as const) {
  const skip = needs('nginx') || needs('haproxy')
  test(`no message of HTTP/2 is two requests behind ${front}, which translates it`, { skip }, async (t) => {
    const { upstream, soakp, head } = await setUp(t, PLAIN)
    const seen: string[] = []
    soakp.app.server.prependListener('request', ({ url = '' }) => seen.push(url))
    const path = `${await start(t, soakp.port)}-http2`
    const open = async () => {
      const socket = connect(path).on('error', () => undefined)
      await once(socket, 'connect')
      return socket
    }
    const cases = Object.keys(ambiguousHttp2(head))
    await Promise.all(
      cases.map(async (title, index) => {
        const own = head.map(([name, value]): RawHeader => [name, value.replace('/v1/main', `/v1/main/${index}/`)])
        const [headers, body] = ambiguousHttp2(own)[title] ?? [own]
        await sendFrames(t, open, request(1, headers, body))
      }),
    )
    await settled(() => upstream.requests.length)
    for (const [index, title] of cases.entries()) {
      t.ok(seen.filter((url) => url.includes(`/main/${index}/`)).length <= 1, title)
    }
    t.strictSame(
      seen.filter((url) => !url.includes('/v1/main')),
      [],
    )
    t.ok(upstream.requests.length <= seen.length)
    t.ok(seen.length > 0, 'some of it is right for a front')
  })
}

test('what cannot be in a name or value of HTTP/1.1 is never passed on', async (t) => {
  const { upstream, head, open } = await setUp(t)
  const names = ['x a', 'x:a', '', `x: 1\r\n${HIDDEN}`, 'x\0', 'x\n', '\xe9']
  const values = [`a\r\n${HIDDEN}`, 'a\nb', 'a\rb', 'a\0b']
  const cases = [
    ...names.map((name) => [name, 'wrong'] as const),
    ...values.map((value) => ['x-wrong', value] as const),
  ]
  for (const header of cases) {
    t.match(bodyOf(await sendFrames(t, open, request(1, [...head, header, ['x-right', '1']], 'body'))), /^(?:ok)?$/)
  }
  const bytes = upstream.wires.map((wire) => wire.text()).join('')
  t.notMatch(bytes, /hidden|wrong|\0|[^\r]\n/)
  t.match(bytes, 'x-right', 'Node leaves the header out, and the rest is a call')
})

test('frames that broke Node end their connection and nothing else', async (t) => {
  const { upstream, soakp, head, open } = await setUp(t)
  const window = Buffer.from([0x7f, 0xff, 0xff, 0xff])
  const begun = frame(TYPES.headers, FLAGS.endHeaders, 1, headerBlock(head))
  const faults: Record<string, Buffer> = {
    'CVE-2026-21714: a window beyond its limit': Buffer.concat([
      frame(TYPES.window, 0, 0, window),
      frame(TYPES.window, 0, 0, window),
    ]),
    'CVE-2025-59465: headers that cannot be decoded': frame(TYPES.headers, 5, 1, Buffer.alloc(64, 0xff)),
    'CVE-2026-48937: frames behind what ended the connection': Buffer.concat([
      frame(TYPES.settings, 0, 1, Buffer.alloc(6)),
      ...Array.from({ length: 500 }, (_, index) => request(2 * index + 1, head, 'x')),
    ]),
    'headers on stream 0': frame(TYPES.headers, 5, 0, headerBlock(head)),
    'headers on an even stream': frame(TYPES.headers, 5, 2, headerBlock(head)),
    'data before headers': frame(TYPES.data, 1, 1, Buffer.from('x')),
    'data behind the end': Buffer.concat([request(1, head, 'x'), frame(TYPES.data, 1, 1, Buffer.from('x'))]),
    'a continuation of nothing': frame(TYPES.continuation, 4, 1, headerBlock(head)),
    'another frame between headers': Buffer.concat([
      frame(TYPES.headers, 0, 1, headerBlock(head)),
      frame(TYPES.ping, 0, 0, Buffer.alloc(8)),
    ]),
    'continuations without end': Buffer.concat([
      frame(TYPES.headers, 0, 1, headerBlock(head)),
      ...Array.from({ length: 3_000 }, () => frame(TYPES.continuation, 0, 1, headerBlock([['x-a', 'b'.repeat(50)]]))),
    ]),
    'a frame of 16 MB': frame(TYPES.data, 0, 1, Buffer.alloc(1), 0xffffff),
    'padding longer than its frame': frame(TYPES.headers, 5 | FLAGS.padded, 1, Buffer.from([255, 0])),
    'a push by the client': frame(TYPES.push, 4, 1, Buffer.from([0, 0, 0, 2])),
    'a stream that depends on itself, and a window of zero': Buffer.concat([
      begun,
      frame(TYPES.priority, 0, 1, Buffer.from([0, 0, 0, 1, 0])),
      frame(TYPES.window, 0, 1, Buffer.alloc(4)),
    ]),
    'settings of the wrong size': frame(TYPES.settings, 0, 0, Buffer.alloc(5)),
    'a thousand resets': Buffer.concat(
      Array.from({ length: 1_500 }, (_, index) => [
        frame(TYPES.headers, 5, 2 * index + 1, headerBlock(head)),
        frame(TYPES.reset, 0, 2 * index + 1, Buffer.from([0, 0, 0, 8])),
      ]).flat(),
    ),
    'another protocol': Buffer.from('GET /v1/hidden HTTP/1.1\r\nHost: a\r\n\r\n'.repeat(20)),
  }
  for (const [title, bytes] of Object.entries(faults)) {
    const frames = await sendFrames(t, open, bytes)
    t.ok(frames.length > 0, title)
    t.equal((await soakp.call('GET', '/soakp/health')).status, 200, `${title}: the next call`)
  }
  await eventually('all calls have ended', () => soakp.app.unsealed.liveCalls.size === 0)
  t.notMatch(upstream.wires.map((wire) => wire.text()).join(''), /hidden/)
})
