import { connect } from 'node:http2'
import { test } from 'tap'
import type { Test } from 'tap'
import { PLAIN } from './support/refusals.ts'
import { startSoakp } from './support/soakp.ts'
import type { TestSoakp } from './support/soakp.ts'
import { eventually, send, startRawUpstream } from './support/wire.ts'

/** A request whose body is sent piece by piece. */
interface Upload {
  readonly write: (text: string) => void
  /** What of the answer came so far. */
  readonly answer: () => string
}

type Begin = (path: string, length: number) => Promise<Upload>

/** Begins uploads over HTTP/1.1. */
function overWires(t: Test, soakp: TestSoakp, token: string): Begin {
  return async (path, length) => {
    const wire = await send(t, soakp, token, [`POST ${path} HTTP/1.1`, `Content-Length: ${length}`])
    wire.socket.on('error', () => undefined)
    return { write: (text) => wire.end ?? wire.write(text), answer: wire.text }
  }
}

/** Begins uploads on one session of HTTP/2. */
function overSession(t: Test, soakp: TestSoakp, token: string): Begin {
  const session = connect(soakp.address, { ca: soakp.authority ?? '' })
  t.teardown(() => session.destroy())
  return async (path, length) => {
    const headers = { ':method': 'POST', ':path': path, 'content-length': length, authorization: `Bearer ${token}` }
    const stream = session.request(headers, { endStream: false })
    let answer = ''
    stream.on('error', () => undefined).on('data', (chunk: Buffer) => (answer += String(chunk)))
    return { write: (text) => stream.closed || stream.write(text), answer: () => answer }
  }
}

/** Drips two bodies at a SOAKP and sends a third one steadily. */
async function drip(t: Test, name: string, environment: Record<string, string>, begins: typeof overWires) {
  const upstream = await startRawUpstream(t)
  upstream.answer(() => undefined)
  const limits = { clientIdleMs: 600, clientBytesPerSecond: 1_000 }
  const soakp = await startSoakp(t, { ...environment, SOAKP_UPSTREAM: upstream.url }, { limits })
  const { token } = await soakp.saveKey()
  const begin = begins(t, soakp, token)
  const [small, large, steady] = [
    await begin('/v1/small', 9_999),
    await begin('/v1/large', 99_999_999),
    await begin('/v1/steady', 99_999_999),
  ]
  const timer = setInterval(() => {
    small.write('x')
    large.write('x')
    steady.write('x'.repeat(1_000))
  }, 20)
  t.teardown(() => clearInterval(timer))
  const refused = /"message":"Less than 600 bytes .*"code":"SOAKP_REQUEST_TIMEOUT"/
  await eventually('two refusals', () => [small, large].every(({ answer }) => refused.test(answer())))
  const reached = (path: string) => upstream.requests.filter(({ line }) => line.includes(path))
  t.equal(reached('small').length, 0, `${name}: a short body has cost the upstream nothing`)
  await eventually('the end of the upstream call', () => reached('large')[0]?.wire.end !== undefined)
  await eventually('much more', () => (reached('steady')[0]?.wire.text().length ?? 0) > 60_000)
  t.equal(steady.answer(), '', `${name}: who sends fast enough goes on`)
  t.equal(soakp.app.unsealed.liveCalls.size, 1)
}

test('a body that dripped byte by byte held its place for a day, over plain HTTP, TLS and HTTP/2', async (t) => {
  await Promise.all([
    drip(t, 'plain HTTP', PLAIN, overWires),
    drip(t, 'TLS', {}, overWires),
    drip(t, 'HTTP/2', {}, overSession),
  ])
})

test('with a least speed of 0 a body may drip', async (t) => {
  const upstream = await startRawUpstream(t)
  upstream.answer(() => undefined)
  const settings = { ...PLAIN, SOAKP_UPSTREAM: upstream.url, SOAKP_CLIENT_BYTES_PER_SECOND: '0' }
  const soakp = await startSoakp(t, settings, { limits: { clientIdleMs: 600 } })
  const { token } = await soakp.saveKey()
  const upload = await overWires(t, soakp, token)('/v1/large', 99_999_999)
  const timer = setInterval(() => upload.write('x'), 20)
  t.teardown(() => clearInterval(timer))
  await eventually('fifty bytes', () => count() > 50)
  t.equal(upload.answer(), '')

  function count(): number {
    return upstream.requests[0]?.wire.text().split('\r\n\r\n')[1]?.length ?? 0
  }
})
