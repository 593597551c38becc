import { constants } from 'node:http2'
import { test } from 'tap'
import type { Test } from 'tap'
import { FLAGS, TYPES, frame, headerBlock } from './support/http2-frames.ts'
import { openFrames } from './support/http2-session.ts'
import type { FrameSession } from './support/http2-session.ts'
import { bearer } from './support/refusals.ts'
import { startSoakp } from './support/soakp.ts'
import type { TestSoakp } from './support/soakp.ts'
import { eventually } from './support/wire.ts'

const MIB = 1_048_576

/** What a flood may make the process grow by, the test's own buffers included: far less than what is sent. */
const GROWTH_BYTES = 256 * MIB

/** Sends a flood until the session is over; fails when it never is. */
async function flood(
  session: FrameSession,
  batch: (round: number) => readonly Buffer[],
  rounds: number,
): Promise<void> {
  for (let round = 0; round < rounds && !session.isOver(); round += 1) await session.write(...batch(round))
}

const repeat = (count: number, each: Buffer) => Array.from({ length: count }, () => each)
const streamOf = (index: number) => index * 2 + 1

/** Floods of one session, each with what ends it. */
const FLOODS: Readonly<Record<string, (session: FrameSession, token: string) => Promise<void>>> = {
  'streams that are reset as they are opened': (session, token) => {
    const block = getBlock('/v1/models', token)
    const rounds = (round: number) =>
      Array.from({ length: 50 }, (_each, index) => streamOf(round * 50 + index)).flatMap((id) => [
        frame(TYPES.headers, FLAGS.endStream | FLAGS.endHeaders, id, block),
        frame(TYPES.reset, 0, id, Buffer.from([0, 0, 0, constants.NGHTTP2_CANCEL])),
      ])
    return flood(session, rounds, 400)
  },
  'settings that are not waited for': (session) => {
    session.socket.pause()
    return flood(session, () => repeat(10_000, frame(TYPES.settings, 0, 0)), 200)
  },
  'settings of many entries': (session) => {
    const entry = Buffer.from([0, constants.NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, 0, 0, 255, 255])
    return flood(session, () => [frame(TYPES.settings, 0, 0, Buffer.concat(repeat(2_000, entry)))], 10)
  },
  'pings whose answers are not taken': (session) => {
    session.socket.pause()
    return flood(session, () => repeat(10_000, frame(TYPES.ping, 0, 0, Buffer.alloc(8))), 200)
  },
  'headers that are continued without end': (session) => {
    const begin = frame(TYPES.headers, FLAGS.endStream, 1, getBlock('/v1/models', ''))
    const more = frame(TYPES.continuation, 0, 1, Buffer.concat(repeat(1_000, Buffer.from('\0\x01a\x01b', 'latin1'))))
    return flood(session, (round) => (round === 0 ? [begin] : [more]), 200)
  },
  'headers that are continued by nothing': (session) => {
    const begin = frame(TYPES.headers, FLAGS.endStream, 1, getBlock('/v1/models', ''))
    const nothing = repeat(1_000, frame(TYPES.continuation, 0, 1))
    return flood(session, (round) => (round === 0 ? [begin] : nothing), 50)
  },
  'windows that grow by nothing': (session) =>
    flood(session, () => repeat(100, frame(TYPES.window, 0, 0, Buffer.alloc(4))), 50),
  'frames of streams that never were': (session) =>
    flood(session, () => repeat(100, frame(TYPES.data, 0, 99, Buffer.alloc(1))), 50),
}

/** The header block of a GET with a token. */
function getBlock(path: string, token: string): Buffer {
  const pseudo = { ':method': 'GET', ':scheme': 'https', ':path': path, ':authority': 'localhost' }
  return headerBlock(Object.entries({ ...pseudo, authorization: `Bearer ${token}` }))
}

async function isWell(t: Test, soakp: TestSoakp, token: string): Promise<void> {
  t.equal((await soakp.call('GET', '/v1/models', { headers: bearer(token) })).status, 200, 'a good call works')
}

test('floods of HTTP/2 end their own session, cost little memory, and nobody else notices', async (t) => {
  const soakp = await startSoakp(t)
  const { id, token } = await soakp.saveKey()
  const { token: hostile } = await soakp.mint(id)
  for (const [name, start] of Object.entries(FLOODS)) {
    await t.test(name, async (step) => {
      const session = await openFrames(step, soakp)
      const before = process.memoryUsage().rss
      const sent = start(session, hostile)
      await isWell(step, soakp, token)
      await sent
      session.socket.resume()
      await eventually('the end of the session', session.isOver)
      const growth = process.memoryUsage().rss - before
      step.ok(growth < GROWTH_BYTES, `${Math.round(growth / MIB)} MiB`)
      await eventually('the end of its calls', () => soakp.app.unsealed.liveCalls.size === 0)
      await isWell(step, soakp, token)
    })
  }
  t.ok(soakp.upstream.requests.length < 2_000, `${soakp.upstream.requests.length} calls reached the upstream`)
})

test('what floods are made of is harmless in ordinary numbers', async (t) => {
  const soakp = await startSoakp(t)
  const { token } = await soakp.saveKey()
  const session = await openFrames(t, soakp)
  const block = getBlock('/v1/models', token)
  await session.write(
    ...repeat(5, frame(TYPES.settings, 0, 0)),
    ...repeat(20, frame(TYPES.ping, 0, 0, Buffer.alloc(8))),
    frame(TYPES.headers, FLAGS.endStream, 1, block.subarray(0, 10)),
    frame(TYPES.continuation, 0, 1, block.subarray(10, 20)),
    frame(TYPES.continuation, FLAGS.endHeaders, 1, block.subarray(20)),
  )
  const countOf = (wanted: number) => session.frames().filter(({ type }) => type === wanted).length
  await eventually('an answer', () => countOf(TYPES.data) > 0)
  t.same([countOf(TYPES.ping), countOf(TYPES.goaway)], [20, 0])
  t.equal(soakp.upstream.requests.length, 1)
})

test('a client that opens more streams than its session may have loses the session, and they cost nothing', async (t) => {
  const soakp = await startSoakp(t, { SOAKP_HTTP2_STREAMS: '2' })
  const { token } = await soakp.saveKey()
  soakp.upstream.handle('GET', '/v1/long', () => undefined)
  const session = await openFrames(t, soakp)
  const block = getBlock('/v1/long', token)
  const open = (id: number) => frame(TYPES.headers, FLAGS.endStream | FLAGS.endHeaders, id, block)
  await session.write(frame(TYPES.settings, 1, 0), open(1), open(3))
  await eventually('two calls', () => soakp.upstream.requests.length === 2)
  t.notOk(session.isOver())
  await session.write(open(5), open(7))
  await eventually('the end of the session', session.isOver)
  t.match(session.frames().at(-1), { type: TYPES.goaway })
  await eventually('the end of its calls', () => soakp.app.unsealed.liveCalls.size === 0)
  t.equal(soakp.upstream.requests.length, 2)
  await isWell(t, soakp, token)
})
