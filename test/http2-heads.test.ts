import { once } from 'node:events'
import { connect, constants } from 'node:http2'
import { test } from 'tap'
import type { Test } from 'tap'
import { FLAGS, TYPES, frame, headerBlock } from './support/http2-frames.ts'
import type { RawHeader } from './support/http2-frames.ts'
import { openFrames } from './support/http2-session.ts'
import { RAW_KEY } from './support/passing.ts'
import { startSoakp } from './support/soakp.ts'
import { eventually, startRawUpstream } from './support/wire.ts'

/** A frame may be this long until its receiver allows more (RFC 9113 section 4.2). */
const FRAME_BYTES = 16_384

/** An acknowledgement of settings. */
const ACKNOWLEDGED = frame(TYPES.settings, 1, 0)

async function setUp(t: Test) {
  const upstream = await startRawUpstream(t)
  const soakp = await startSoakp(t, { SOAKP_UPSTREAM: upstream.url, SOAKP_HEADER_BYTES: '8192' })
  const { token } = await soakp.saveKey({ key: RAW_KEY })

  /** Asks on a session of its own; returns what came on the stream: its body, or the code of its reset. */
  async function ask(more: readonly RawHeader[], isAcknowledged: boolean): Promise<string> {
    const session = await openFrames(t, soakp)
    if (isAcknowledged) {
      await eventually('settings', () => session.frames().length > 0)
      await session.write(ACKNOWLEDGED)
    }
    await session.write(...getFrames(token, more))
    const ends = () => session.frames().find(({ stream, type, flags }) => stream === 1 && isEnd(type, flags))
    await eventually('an end of the stream', () => ends() !== undefined)
    const bytes = session.frames().flatMap(({ type, payload }) => (type === TYPES.data ? [payload] : []))
    return ends()?.type === TYPES.reset ? `reset ${ends()?.payload.readUInt32BE()}` : String(Buffer.concat(bytes))
  }

  return { soakp, upstream, token, ask }
}

const isEnd = (type: number, flags: number) => type === TYPES.reset || (flags & FLAGS.endStream) !== 0

/** Writes a GET in as many frames as its headers need. */
function getFrames(token: string, more: readonly RawHeader[]): Buffer[] {
  const pseudo: RawHeader[] = [
    [':method', 'GET'],
    [':scheme', 'https'],
    [':authority', 'localhost'],
    [':path', '/v1/x'],
  ]
  const block = headerBlock([...pseudo, ['authorization', `Bearer ${token}`], ...more])
  const count = Math.ceil(block.length / FRAME_BYTES)
  return Array.from({ length: count }, (_, index) => {
    const type = index === 0 ? TYPES.headers : TYPES.continuation
    const flags = (index === 0 ? FLAGS.endStream : 0) | (index === count - 1 ? FLAGS.endHeaders : 0)
    return frame(type, flags, 1, block.subarray(index * FRAME_BYTES, (index + 1) * FRAME_BYTES))
  })
}

test('over HTTP/2 headers over the limit passed until the client had acknowledged the limit', async (t) => {
  const { upstream, ask } = await setUp(t)
  for (const isAcknowledged of [false, true]) {
    const name = isAcknowledged ? 'acknowledged' : 'not acknowledged'
    t.equal(await ask([['x-a', 'x'.repeat(7_000)]], isAcknowledged), 'ok', `${name}: 7,000 bytes pass`)
    const before = upstream.requests.length
    const cases: (readonly RawHeader[])[] = [
      [['x-a', 'x'.repeat(8_192)]],
      [['x'.repeat(8_192), '1']],
      [['x-a', 'x'.repeat(60_000)]],
      Array.from({ length: 900 }, (_, index): RawHeader => [`x${index}`, '']),
    ]
    for (const headers of cases) {
      const answer = JSON.parse(await ask(headers, isAcknowledged))
      t.match(answer, { error: { code: 'SOAKP_HEADERS_TOO_LARGE', message: /SOAKP_HEADER_BYTES\.$/ } }, name)
    }
    t.equal(upstream.requests.length, before, `${name}: they cost the upstream nothing`)
  }
  const large = ['x-a', 'x-b', 'x-c'].map((name): RawHeader => [name, 'x'.repeat(30_000)])
  t.equal(await ask(large, true), `reset ${constants.NGHTTP2_ENHANCE_YOUR_CALM}`, 'what is far too large')
})

test('over HTTP/2 more than 128 headers were refused that passed over HTTP/1.1', async (t) => {
  const { soakp, upstream, token } = await setUp(t)
  const client = connect(soakp.address, { ca: soakp.authority ?? '' })
  t.teardown(() => client.destroy())
  const names = Array.from({ length: 150 }, (_, index) => `x${index}`)
  const headers = Object.fromEntries(names.map((name) => [name, '1']))
  const stream = client.request({ ':path': '/v1/x', authorization: `Bearer ${token}`, ...headers })
  t.match(await once(stream, 'response'), [{ ':status': 200 }])
  t.strictSame(
    upstream.requests[0]?.headers.filter((name) => /^x\d/.test(name)),
    names,
  )
})
