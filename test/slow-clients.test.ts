import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { writeFile } from 'node:fs/promises'
import { connect, constants } from 'node:http2'
import type { ClientHttp2Stream } from 'node:http2'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { test } from 'tap'
import { createLocalAuthority, issueLocalCertificate } from '../services/local-authority.ts'
import { RAW_KEY, startPassing } from './support/passing.ts'
import { startSoakp, temporaryFolder } from './support/soakp.ts'
import { answerText, eventually, startRawUpstream } from './support/wire.ts'
import type { Wire } from './support/wire.ts'

const CHUNKED = 'Transfer-Encoding: chunked'
const chunk = (text: string) => `${text.length.toString(16)}\r\n${text}\r\n`

/** An answer behind which the upstream ends its connection. */
interface Answer {
  /** The line by which a body of this length is framed. */
  readonly frame: (length: number) => string
  readonly body: (text: string) => string
  readonly isWhole: boolean
}

const answers: Readonly<Record<string, Answer>> = {
  'with no frame': { frame: () => 'X-Frame: none', body: (text) => text, isWhole: true },
  'of a known length': { frame: (length) => `Content-Length: ${length}`, body: (text) => text, isWhole: true },
  'in chunks': { frame: () => CHUNKED, body: (text) => `${chunk(text)}0\r\n\r\n`, isWhole: true },
  'that is too short': { frame: (length) => `Content-Length: ${length + 1}`, body: (text) => text, isWhole: false },
  'without its last chunk': { frame: () => CHUNKED, body: chunk, isWhole: false },
}

// A client of HTTP/2 that does not read lets 65,535 bytes in, so these make SOAKP hold the upstream up.
for (const [scheme, lengths] of [
  ['http', [65_536, 131_072]],
  ['https', [131_072, 163_840]],
] as const) {
  test(`over ${scheme}, the end of an answer that a slow client holds up ended the process (nodejs/undici issue 5360)`, async (t) => {
    const authority = await createLocalAuthority(new Date())
    const leaf = await issueLocalCertificate(authority, ['127.0.0.1'], new Date())
    const file = join(await temporaryFolder(t), 'roots.pem')
    await writeFile(file, authority.certificatePem)
    const tls = { cert: leaf.certificatePem, key: leaf.privateKeyPem }
    const upstream = await startRawUpstream(t, scheme === 'https' ? tls : undefined)
    const soakp = await startSoakp(t, { SOAKP_UPSTREAM: upstream.url, SOAKP_UPSTREAM_CA_FILE: file })
    const { token } = await soakp.saveKey({ key: RAW_KEY })
    const session = connect(soakp.address, { ca: soakp.authority ?? '' })
    t.teardown(() => session.destroy())
    const isHeldUp = () => soakp.app.unsealed.liveCalls.all()[0]?.owes?.()?.of === 'answer'

    /** Begins a call whose client reads nothing yet. */
    async function begin(line: string): Promise<{ stream: ClientHttp2Stream; wire: Wire }> {
      const { promise, resolve } = Promise.withResolvers<Wire>()
      upstream.answer(({ wire }) => resolve(wire))
      const stream = session.request({ ':path': '/v1/x', authorization: `Bearer ${token}` })
      stream.on('error', () => undefined)
      const wire = await promise
      wire.write(answerText(['HTTP/1.1 200 OK', 'Connection: close', line]))
      await once(stream, 'response')
      return { stream, wire }
    }

    for (const length of lengths) {
      for (const [title, { frame, body, isWhole }] of Object.entries(answers)) {
        const { stream, wire } = await begin(frame(length))
        wire.write(body('x'.repeat(length)))
        await eventually('SOAKP holds the upstream up', isHeldUp)
        wire.socket.end()
        await once(wire.socket, 'finish')
        // Both ends are of this process: what came before this has been seen.
        t.equal((await soakp.call('GET', '/soakp/health')).status, 200)
        let bytes = 0
        stream.on('data', (each: Buffer) => (bytes += each.length))
        await new Promise((closed) => stream.once('close', closed))
        t.ok(isWhole ? bytes === length : bytes <= length, `${length} bytes ${title}`)
        t.equal(stream.rstCode === constants.NGHTTP2_NO_ERROR, isWhole, isWhole ? 'whole' : 'cut short')
      }
    }
    await eventually('the end of all', () => upstream.openConnections() === 0)
    t.equal(soakp.app.unsealed.liveCalls.size, 0)
  })
}

test('the end of a long error that is looked through for the key ended the process, too', async (t) => {
  const { ask, soakp } = await startPassing(t)
  const body = gzipSync(randomBytes(70_000)).toString('latin1')
  const lines = ['HTTP/1.1 500 No', 'Content-Encoding: gzip', 'Connection: close']
  for (const frame of ['X-Frame: none', `Content-Length: ${body.length}`]) {
    const answer = await ask(({ wire: { socket } }) => {
      socket.end(Buffer.from(answerText([...lines, frame], body), 'latin1'))
    })
    t.match(answer, /^HTTP\/1\.1 500 No\r\n/)
    t.ok(answer.length > body.length)
  }
  t.equal(soakp.app.unsealed.liveCalls.size, 0)
})
