import { once } from 'node:events'
import { connect } from 'node:net'
import type { NetConnectOpts } from 'node:net'
import { connect as connectSecurely } from 'node:tls'
import { test } from 'tap'
import type { Test } from 'tap'
import { HIDDEN, brokenRequests, passedRequests, refusedRequests } from './fixtures/ambiguous.ts'
import { startHaproxyFront, startNginxFront } from './support/fronts.ts'
import { needs } from './support/process.ts'
import { OK, startPassing } from './support/passing.ts'
import { PLAIN } from './support/refusals.ts'
import { startSoakp } from './support/soakp.ts'
import { settled } from './support/sockets.ts'
import { answerText, eventually, openWire, requestText, startRawUpstream } from './support/wire.ts'

/** Where a message is sent to, over TLS where there is an authority. */
type Where = NetConnectOpts & { readonly ca?: string | undefined }

/** One message and how it was seen: by whom it was sent to, by SOAKP, and by the upstream. */
interface Sight {
  readonly title: string
  /** Final statuses that came back. */
  readonly answers: readonly number[]
  /** `main` and `hidden`, as often as each was a request. */
  readonly soakp: readonly string[]
  readonly upstream: readonly string[]
}

const skip = needs('nginx') || needs('haproxy')

/** Starts a SOAKP that records the requests that it sees, before an upstream that does. */
async function setUp(t: Test, environment: Record<string, string> = PLAIN) {
  const upstream = await startRawUpstream(t)
  upstream.answer(async ({ line, body, wire }) => {
    await body()
    const [method, path = ''] = line.split(' ')
    wire.write(answerText(['HTTP/1.1 200 OK', `Content-Length: ${path.length}`], method === 'HEAD' ? '' : path))
  })
  const soakp = await startSoakp(t, { ...environment, SOAKP_UPSTREAM: upstream.url })
  const { id } = await soakp.saveKey()
  const { token } = await soakp.mint(id, { limits: { requests_per_minute: 10_000, parallel_requests: 1_000 } })
  const seen: string[] = []
  for (const event of ['request', 'checkContinue'] as const) {
    soakp.app.server.prependListener(event, ({ url = '' }) => seen.push(url))
  }

  const send = (where: Where, bytes: string) => {
    const socket = where.ca === undefined ? connect(where) : connectSecurely({ ...where, servername: 'localhost' })
    t.teardown(() => socket.destroy())
    let text = ''
    socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1'))).on('error', () => undefined)
    socket.write(bytes, 'latin1')
    const answers = () => [...text.matchAll(/HTTP\/1\.[01] ([2-5]\d\d) /g)].map(([, status]) => Number(status))
    return { socket, text: () => text, answers }
  }

  /** Sends a message by a way in; resolves when the connection is over, or has as many answers as are expected. */
  async function see(front: string, where: Where, title: string, text: string, expected = Infinity) {
    const path = (name: string) => `/v1/${front}/${encodeURIComponent(title)}/${name}`
    const fill = (template: string) =>
      template
        .replaceAll('{main}', path('main'))
        .replaceAll('{hidden}', path('hidden'))
        .replaceAll('{auth}', `Authorization: Bearer ${token}\r\n`)
    const size = fill(HIDDEN).length
    const { socket, answers } = send(
      where,
      fill(text).replaceAll('{size}', `${size}`).replaceAll('{hex}', size.toString(16)),
    )
    await eventually(`an end of: ${title}`, () => socket.closed || answers().length >= expected)
    const namesIn = (targets: readonly string[]) =>
      targets.flatMap((target) => ['main', 'hidden'].filter((name) => target.includes(path(name))))
    return (): Sight => ({
      title,
      answers: answers(),
      soakp: namesIn(seen),
      upstream: namesIn(upstream.requests.map(({ line }) => line)),
    })
  }

  return { soakp, upstream, token, send, see }
}

const passed = Object.entries(passedRequests)

for (const [name, environment] of Object.entries({ 'plain HTTP': PLAIN, TLS: { SOAKP_TLS: 'local' } })) {
  test(`over ${name}, what can be read in two ways is refused and costs the upstream nothing, and the rest is read in one way`, async (t) => {
    const { soakp, upstream, see } = await setUp(t, environment)
    const direct = { port: soakp.port, host: '127.0.0.1', ca: soakp.authority }
    const bytesOfUpstream = () => upstream.wires.reduce((sum, { socket }) => sum + socket.bytesRead, 0)
    const whole = await Promise.all(
      passed.flatMap(([title, [text, requests]]) => see('direct', direct, title, text, requests)),
    )
    await settled(bytesOfUpstream)
    for (const { title, answers, upstream: came } of whole.map((sight) => sight())) {
      const requests = passedRequests[title]?.[1] ?? 0
      t.strictSame([answers, came.length], [Array(requests).fill(200), requests], title)
    }

    // The upstream's connections are open now: nothing keeps a request from being written at once.
    const before = bytesOfUpstream()
    const sendAll = (requests: Readonly<Record<string, string>>) =>
      Promise.all(Object.entries(requests).map(([title, text]) => see('direct', direct, title, text)))
    const refused = await sendAll(refusedRequests)
    await settled(bytesOfUpstream)
    t.equal(bytesOfUpstream(), before, 'not a byte')
    for (const { title, answers, upstream: came } of refused.map((sight) => sight())) {
      t.strictSame(came, [], title)
      t.ok(
        answers.length <= 1 && answers.every((status) => status === 400 || status === 505),
        `${title}: ${answers.join()}`,
      )
    }

    const broken = await sendAll(brokenRequests)
    await settled(bytesOfUpstream)
    for (const { title, answers, upstream: came } of broken.map((sight) => sight())) {
      t.strictSame([answers, came.includes('hidden')], [[400], false], title)
    }
  })

  test(`over ${name}, behind a message that ends its connection nothing is a call`, async (t) => {
    const { soakp, upstream, authorization } = await startPassing(t, environment)
    const upgrade = ['Connection: Upgrade', 'Upgrade: h2c']
    for (const lines of [['Host: evil'], ['Transfer-Encoding: gzip, chunked'], ['Authorization: Bearer x'], upgrade]) {
      const isRefused = lines !== upgrade
      const before = upstream.requests.length
      let answerFirst: (() => void) | undefined
      upstream.answer(({ line, wire }) => {
        if (line.includes('first')) answerFirst = () => wire.write(OK)
        else wire.write(OK)
      })
      const wire = await openWire(t, soakp)
      const hidden = requestText(['GET /v1/hidden HTTP/1.1', authorization])
      // While the first is answered, the connection cannot be closed yet.
      wire.write(requestText(['GET /v1/first HTTP/1.1', authorization]))
      wire.write(
        requestText(
          ['GET /v1/last HTTP/1.1', authorization, ...lines],
          lines[0]?.startsWith('T') === true ? '0\r\n\r\n' : '',
        ),
      )
      wire.write(hidden)
      await eventually('the first call', () => answerFirst !== undefined)
      wire.write(hidden)
      await settled(() => upstream.requests.length)
      answerFirst?.()
      const statuses = (await wire.over()).match(/(?<=HTTP\/1\.1 )\d+/g)
      t.strictSame(statuses, ['200', isRefused ? '400' : '200'], lines[0] ?? '')
      t.equal(upstream.requests.length, before + (isRefused ? 1 : 2), lines[0] ?? '')
    }
  })
}

for (const [front, start] of [
  ['nginx', startNginxFront],
  ['HAProxy', startHaproxyFront],
] as const) {
  test(`no message that ${front} takes for one request is two here, or at the upstream`, { skip }, async (t) => {
    const { soakp, upstream, token, send, see } = await setUp(t)
    const where = { path: await start(t, soakp.port) }
    const all = {
      ...refusedRequests,
      ...brokenRequests,
      ...Object.fromEntries(passed.map(([title, [text]]) => [title, text])),
    }
    t.ok(Object.keys(all).length > 60, 'there are many')
    const sights = await Promise.all(Object.entries(all).map(([title, text]) => see(front, where, title, text)))
    await settled(() => upstream.requests.length)
    for (const { title, answers, soakp: here, upstream: there } of sights.map((sight) => sight())) {
      // An answer of HTTP/0.9 has no status.
      const isPassedOnAsSeen = there.length <= here.length
      t.ok(
        isPassedOnAsSeen && here.length <= Math.max(1, answers.length),
        `${title}: ${answers.join()}, ${here.join()}, ${there.join()}`,
      )
      const requests = passedRequests[title]?.[1]
      const isRefused = answers.every((status) => status >= 400)
      if (requests !== undefined && !isRefused) t.ok(answers.length >= requests, `${title}: no more than there`)
    }
    // Whatever was on the connections between the two, the next call has its own answer.
    for (let call = 0; call < 12; call += 1) {
      const path = `/v1/after/${call}`
      const { socket, text } = send(
        where,
        `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer ${token}\r\n\r\n`,
      )
      await once(socket, 'close')
      t.match(text(), new RegExp(`^HTTP/1\\.1 200 .*\r\n\r\n${path}$`, 's'))
    }
  })
}
