import { connect, constants } from 'node:http2'
import { test } from 'tap'
import { CUT, PASSED, hostileAnswers } from './fixtures/hostile-answers.ts'
import type { HostileCase } from './fixtures/hostile-answers.ts'
import { RAW_KEY, startPassing } from './support/passing.ts'
import { answerText, eventually, exchange } from './support/wire.ts'
import type { RawHandler } from './support/wire.ts'

/** So many seconds are an upstream's to begin and to go on. */
const TIMES = { SOAKP_UPSTREAM_ANSWER_SECONDS: '1', SOAKP_UPSTREAM_IDLE_SECONDS: '1' }

/** Writes a hostile answer and treats the connection as it says. */
function hostile([bytes, end]: HostileCase): RawHandler {
  return ({ wire: { socket } }) => {
    const sent = () => {
      if (end === 'closed') socket.end()
      if (end === 'broken') socket.resetAndDestroy()
    }
    socket.write(Buffer.from(bytes.replaceAll('{key}', RAW_KEY), 'latin1'), sent)
  }
}

const own = (title: string) => `answer of ${title}`
const good = (title: string): RawHandler => {
  const body = own(title)
  return ({ wire }) => wire.write(answerText(['HTTP/1.1 200 OK', `Content-Length: ${body.length}`], body))
}
const cases = Object.entries(hostileAnswers)

for (const [name, tls] of Object.entries({ 'plain HTTP': 'off', TLS: 'local' })) {
  test(`over ${name}, whatever an upstream answers, the client gets an end and the next call its own answer`, async (t) => {
    // With one connection the next call uses the same again, if it is kept.
    const settings = { ...TIMES, SOAKP_TLS: tls, SOAKP_UPSTREAM_CONNECTIONS: '1' }
    const { ask, upstream, soakp, logs } = await startPassing(t, settings)
    t.ok(cases.length >= 80, 'there are many')
    for (const [title, hostileCase] of cases) {
      const before = upstream.requests.length
      const answer = await ask(hostile(hostileCase))
      t.match(answer, hostileCase[2], title)
      t.equal(upstream.requests.length, before + 1, `${title}: one upstream call`)
      t.notMatch(answer, RAW_KEY.slice(8), `${title}: no key`)
      const next = await ask(good(title))
      t.ok(next.startsWith('HTTP/1.1 200 OK') && next.endsWith(`\r\n\r\n${own(title)}`), `${title}: the next call`)
    }
    t.equal(soakp.app.unsealed.liveCalls.size, 0)
    t.notMatch(logs.join(''), RAW_KEY.slice(8))
  })
}

test('over HTTP/2, whatever an upstream answers, its stream gets an end and no other is touched', async (t) => {
  const settings = { ...TIMES, SOAKP_TLS: 'local', SOAKP_UPSTREAM_CONNECTIONS: '1' }
  const { upstream, soakp, authorization } = await startPassing(t, settings)
  const session = connect(soakp.address, { ca: soakp.authority ?? '' })
  t.teardown(() => session.destroy())

  /** Asks on the one session; returns status and body, and the code with which the stream was closed. */
  async function ask(handler: RawHandler) {
    upstream.answer(handler)
    const stream = session.request({ ':path': '/v1/x', authorization: authorization.replace('Authorization: ', '') })
    let [head, body] = ['', '']
    stream.on('error', () => undefined)
    stream.on('response', (headers) => (head = JSON.stringify(headers)))
    stream.on('data', (chunk: Buffer) => (body += chunk.toString('latin1')))
    await new Promise((resolve) => stream.once('close', resolve))
    return { status: Number(/":status":(\d+)/.exec(head)?.[1]), head, body, code: stream.rstCode }
  }

  for (const [title, hostileCase] of cases) {
    const [, , expected] = hostileCase
    const before = upstream.requests.length
    const { status, head, body, code } = await ask(hostile(hostileCase))
    t.ok(status >= 200 || code !== constants.NGHTTP2_NO_ERROR, `${title}: an end`)
    if (typeof expected === 'string') t.match({ status, body, code }, { status: 502, body: expected, code: 0 }, title)
    if (expected === PASSED) t.match({ status, body, code }, { status: 200, body: 'ok', code: 0 }, title)
    if (expected === CUT && status === 200) t.not(code, constants.NGHTTP2_NO_ERROR, `${title}: it does not look whole`)
    t.equal(upstream.requests.length, before + 1, `${title}: one upstream call`)
    t.notMatch(head + body, RAW_KEY.slice(8), `${title}: no key`)
    t.match(await ask(good(title)), { status: 200, body: own(title), code: 0 }, `${title}: the next call`)
  }
  t.equal(soakp.app.unsealed.liveCalls.size, 0)
  t.notOk(session.closed)
})

test('GHSA-35p6 and CVE-2026-48931: what comes on an idle connection is nobody’s answer', async (t) => {
  const { ask, upstream } = await startPassing(t, { SOAKP_UPSTREAM_CONNECTIONS: '1' })
  const evil = answerText(['HTTP/1.1 200 Evil', 'Content-Length: 4'], 'evil')
  for (const bytes of [evil, 'garbage', answerText(['HTTP/1.1 103 Early']), evil.repeat(100)]) {
    t.match(await ask(good('that')), /that$/)
    const { socket } = upstream.wires.at(-1) ?? fail()
    socket.write(bytes)
    await eventually('the end of that connection', () => socket.destroyed || socket.readableEnded)
    t.match(await ask(good('this')), /^HTTP\/1\.1 200 OK.*this$/s, JSON.stringify(bytes.slice(0, 20)))
  }
})

test('an upstream that is slow at any point holds no client longer than the configured times', async (t) => {
  const { soakp, upstream, authorization } = await startPassing(t, { ...TIMES, SOAKP_CALL_SECONDS: '3' })
  const TIMEOUT = 'SOAKP_UPSTREAM_TIMEOUT'
  const part = answerText(['HTTP/1.1 200 OK', 'Content-Length: 9'], 'part')
  const drip = (before: string, piece: string): RawHandler => {
    return ({ wire }) => {
      const timer = setInterval(() => wire.write(piece), 20)
      wire.socket.once('close', () => clearInterval(timer))
      wire.write(before)
    }
  }
  const say =
    (text: string): RawHandler =>
    ({ wire }) =>
      wire.write(text)
  const slow: Record<string, readonly [handler: RawHandler, expected: RegExp | string]> = {
    silence: [() => undefined, TIMEOUT],
    'silence behind an interim answer': [say(answerText(['HTTP/1.1 103 Early'])), TIMEOUT],
    'silence within the status line': [say('HTTP/1.1 2'), TIMEOUT],
    'silence within the head': [say('HTTP/1.1 200 OK\r\nX:'), TIMEOUT],
    'silence within a body': [say(part), /^HTTP\/1\.1 200 OK.*part$/s],
    'silence within a chunk': [
      say(answerText(['HTTP/1.1 200 OK', 'Transfer-Encoding: chunked'], '9\r\npart')),
      /part\r\n$/,
    ],
    'silence within the last chunk': [
      say(answerText(['HTTP/1.1 200 OK', 'Transfer-Encoding: chunked'], '2\r\nok\r\n0\r\n')),
      /ok\r\n$/,
    ],
    'silence within an error': [say(part.replace('200 OK', '500 No')), TIMEOUT],
    'silence within events': [
      say(answerText(['HTTP/1.1 200 OK', 'Content-Type: text/event-stream'], 'data: 1\n\n')),
      /data: 1\n\n/,
    ],
    'a status line byte by byte': [drip('HTTP/1.1 200 ', 'O'), TIMEOUT],
    'a head line by line': [drip('HTTP/1.1 200 OK\r\n', 'X: 1\r\n'), TIMEOUT],
    'interim answers without end': [drip('', answerText(['HTTP/1.1 103 Early'])), TIMEOUT],
    'an error byte by byte': [drip(part.replace('200 OK', '500 No').replace('9', '99999'), 'x'), /^HTTP\/1\.1 50/],
    'a body byte by byte': [drip(part.replace('9', '99999'), 'x'), /^HTTP\/1\.1 200 OK.*partx*$/s],
    'chunks without end': [drip(answerText(['HTTP/1.1 200 OK', 'Transfer-Encoding: chunked']), '1\r\nx\r\n'), /x\r\n$/],
  }
  const names = Object.keys(slow)
  upstream.answer((request) => slow[names[Number(/(\d+) HTTP/.exec(request.line)?.[1])] ?? '']?.[0](request))
  const startedAt = performance.now()
  const answers = await Promise.all(
    names.map((_, index) => exchange(t, soakp, [`GET /v1/${index} HTTP/1.1`, authorization])),
  )
  t.ok(performance.now() - startedAt < 9_000, 'in time')
  for (const [index, title] of names.entries()) t.match(answers[index], slow[title]?.[1], title)
  await eventually('the end of all upstream connections', () => upstream.openConnections() === 0)
  t.equal(soakp.app.unsealed.liveCalls.size, 0)
})

function fail(): never {
  throw new Error('there was no connection')
}
