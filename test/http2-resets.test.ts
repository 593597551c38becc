import { test } from 'tap'
import type { Test } from 'tap'
import { FLAGS, TYPES, frame, request } from './support/http2-frames.ts'
import { openFrames } from './support/http2-session.ts'
import type { FrameSession } from './support/http2-session.ts'
import { RAW_KEY } from './support/passing.ts'
import { startSoakp } from './support/soakp.ts'
import type { TestSoakp } from './support/soakp.ts'
import { answerText, eventually, startRawUpstream } from './support/wire.ts'

/** SETTINGS_INITIAL_WINDOW_SIZE of 0: no byte of an answer's body may come. */
const NO_WINDOW = frame(TYPES.settings, 0, 0, Buffer.from([0, 4, 0, 0, 0, 0]))
const NO_ERROR = Buffer.alloc(4)
const GOAWAY = frame(TYPES.goaway, 0, 0, Buffer.alloc(8))
const reset = (stream: number) => frame(TYPES.reset, 0, stream, NO_ERROR)

function get(stream: number, token: string): Buffer {
  const target = [
    [':method', 'GET'],
    [':scheme', 'https'],
    [':path', '/v1/x'],
    [':authority', 'localhost'],
  ] as const
  return request(stream, [...target, ['authorization', `Bearer ${token}`]])
}

async function headsOf({ frames }: FrameSession, count: number): Promise<void> {
  await eventually('the heads came', () => frames().filter(({ type }) => type === TYPES.headers).length >= count)
}

function connectionsOf({ app }: TestSoakp): Promise<number> {
  return new Promise((resolve) => app.server.getConnections((_error, count) => resolve(count)))
}

async function hasNoConnection(t: Test, soakp: TestSoakp): Promise<void> {
  let count = 1
  const look = () => void connectionsOf(soakp).then((each) => (count = each))
  await eventually('every connection has ended', () => {
    look()
    return count === 0
  })
  t.equal(count, 0)
}

test('a stranger that resets streams without a window and leaves does not keep its connection here for ever', async (t) => {
  const soakp = await startSoakp(t, {}, { limits: { clientIdleMs: 400 } })
  for (let connection = 0; connection < 3; connection += 1) {
    const session = await openFrames(t, soakp)
    await session.write(NO_WINDOW, get(1, 'none'), get(3, 'none'))
    await headsOf(session, 2)
    await session.write(reset(1), reset(3), GOAWAY)
    session.socket.destroy()
  }
  await hasNoConnection(t, soakp)
})

test('a call whose stream is reset with NO_ERROR ends at the upstream, too, also without a window', async (t) => {
  const upstream = await startRawUpstream(t)
  const soakp = await startSoakp(t, { SOAKP_UPSTREAM: upstream.url })
  const { token } = await soakp.saveKey({ key: RAW_KEY })
  upstream.answer(({ wire }) => wire.write(answerText(['HTTP/1.1 200 OK', 'Content-Length: 9'], 'begun')))
  const session = await openFrames(t, soakp)
  await session.write(NO_WINDOW, get(1, token), get(3, token))
  await headsOf(session, 2)
  const running = () => upstream.requests.filter(({ wire }) => wire.end === undefined).length
  t.equal(running(), 2)
  await session.write(reset(1))
  await eventually('one call has ended', () => running() === 1)
  await session.write(GOAWAY, reset(3))
  await eventually('both calls have ended', () => running() === 0)
  const { body } = await soakp.call('GET', '/soakp/me', { headers: { authorization: `Bearer ${token}` } })
  t.equal(body.remaining.parallel_requests, body.limits.parallel_requests, 'and nothing is counted as running')
})

test('an answer that a stranger never takes is taken back, and one that is taken late is whole', async (t) => {
  const soakp = await startSoakp(t, {}, { limits: { clientIdleMs: 400 } })
  const session = await openFrames(t, soakp)
  await session.write(NO_WINDOW, get(1, 'none'))
  await headsOf(session, 1)
  await eventually('the stream is reset', () => session.frames().some(({ type }) => type === TYPES.reset))
  t.equal(session.frames().filter(({ type }) => type === TYPES.data).length, 0)
  await session.write(get(3, 'none'))
  await headsOf(session, 2)
  await session.write(frame(TYPES.window, 0, 3, Buffer.from([0, 0, 255, 255])))
  const isWhole = () =>
    session.frames().some(({ type, flags, stream }) => type === TYPES.data && stream === 3 && flags === FLAGS.endStream)
  await eventually('the answer has come', isWhole)
  t.equal(session.isOver(), false)
})
