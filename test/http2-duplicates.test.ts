import { connect } from 'node:http2'
import { test } from 'tap'
import type { Test } from 'tap'
import { RAW_KEY } from './support/passing.ts'
import { startSoakp } from './support/soakp.ts'
import type { TestSoakp } from './support/soakp.ts'
import { answerText, startRawUpstream } from './support/wire.ts'

const TWICE = ['ETag', 'Content-Type', 'Date', 'X-Content-Type-Options', 'Age', 'Location']

/** Sends a GET over HTTP/2; returns its status and, in order, the values of a header. */
async function ask(
  t: Test,
  soakp: TestSoakp,
  token: string,
  name: string,
): Promise<{ status: number | undefined; values: readonly string[] }> {
  const session = connect(soakp.address, { ca: soakp.authority ?? '' })
  t.teardown(() => session.destroy())
  const stream = session.request({ ':path': '/v1/x', authorization: `Bearer ${token}` })
  let status: number | undefined
  const values: string[] = []
  stream
    .on('error', () => undefined)
    .on('response', (headers, _flags, raw) => {
      status = headers[':status']
      raw.forEach((each, index) => index % 2 === 0 && each === name.toLowerCase() && values.push(raw[index + 1] ?? ''))
    })
  await new Promise((resolve) => stream.resume().once('close', resolve))
  session.destroy()
  return { status, values }
}

test('of a header that an upstream sent twice both arrive over HTTP/2; what HTTP/2 cannot carry is a 502, and ends nothing', async (t) => {
  const upstream = await startRawUpstream(t)
  const soakp = await startSoakp(t, { SOAKP_UPSTREAM: upstream.url })
  const { token } = await soakp.saveKey({ key: RAW_KEY })
  const answerWith = (name: string) => {
    const lines = ['HTTP/1.1 200 OK', `${name}: a`, `${name}: b`, 'Content-Length: 2']
    upstream.answer(({ wire }) => wire.write(answerText(lines, 'ok')))
  }
  for (const name of TWICE) {
    answerWith(name)
    t.same(await ask(t, soakp, token, name), { status: 200, values: ['a', 'b'] }, name)
  }
  answerWith('HTTP2-Settings')
  t.match(await ask(t, soakp, token, 'HTTP2-Settings'), { status: 502 })
  answerWith('ETag')
  t.match(await ask(t, soakp, token, 'ETag'), { status: 200 }, 'the next call')
})
