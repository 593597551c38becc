import { connect, constants } from 'node:http2'
import type { IncomingHttpHeaders } from 'node:http2'
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from 'node:zlib'
import { test } from 'tap'
import type { Test } from 'tap'
import { damaged } from './support/damaged.ts'
import { RAW_KEY, startPassing } from './support/passing.ts'
import { PLAIN } from './support/refusals.ts'
import { startSoakp } from './support/soakp.ts'
import type { TestSoakp } from './support/soakp.ts'
import { answerText, exchange, startRawUpstream } from './support/wire.ts'

/** What the client got to see, until its stream or connection was over. */
interface Seen {
  readonly text: string
  /** Whether it looks like a whole answer. */
  readonly isWhole: boolean
}

/** Sends a GET. */
type Ask = () => Promise<Seen>

function overWires(t: Test, soakp: TestSoakp, token: string): Ask {
  return async () => {
    const text = await exchange(t, soakp, ['GET /v1/x HTTP/1.1', 'TE: trailers', `Authorization: Bearer ${token}`])
    const length = Number(/^content-length: (\d+)/im.exec(text)?.[1])
    const body = text.slice(text.indexOf('\r\n\r\n') + 4)
    return { text, isWhole: body.endsWith('0\r\n\r\n') || body.length === length || / (?:204|304) /.test(text) }
  }
}

function overSession(t: Test, soakp: TestSoakp, token: string): Ask {
  const session = connect(soakp.address, { ca: soakp.authority ?? '' })
  t.teardown(() => session.destroy())
  return async () => {
    const stream = session.request({ ':path': '/v1/x', te: 'trailers', authorization: `Bearer ${token}` })
    const seen: string[] = []
    const note = (headers: IncomingHttpHeaders) => seen.push(JSON.stringify(headers))
    stream.on('headers', note).on('response', note).on('trailers', note)
    stream.on('data', (chunk: Buffer) => seen.push(String(chunk))).on('error', () => undefined)
    await new Promise((resolve) => stream.once('close', resolve))
    return { text: seen.join('\n'), isWhole: stream.rstCode === constants.NGHTTP2_NO_ERROR }
  }
}

const OK_CHUNKS = ['HTTP/1.1 200 OK', 'Transfer-Encoding: chunked']
const chunked = (...chunks: readonly string[]) => {
  const body = [...chunks, ''].map((each) => `${each.length.toString(16)}\r\n${each}\r\n`).join('')
  return answerText(OK_CHUNKS, body)
}
const behindTrailers = (lines: readonly string[], trailers: readonly string[]) =>
  answerText([...OK_CHUNKS, ...lines], `2\r\nok\r\n0\r\n${trailers.join('\r\n')}\r\n\r\n`)
const sized = (lines: readonly string[], body = 'ok') => answerText([...lines, `Content-Length: ${body.length}`], body)

/** What the client sees: the answer without what held the key, our refusal, or a part of it. */
type Outcome = 'passed' | 'refused' | 'cut'

const inThree = [RAW_KEY.slice(0, 7), RAW_KEY.slice(7, 20), RAW_KEY.slice(20)]

/** Where the key is, what the upstream writes, piece by piece, and what the client sees of it. */
const cases: Readonly<Record<string, readonly [pieces: readonly string[], outcome: Outcome]>> = {
  'a trailer': [[behindTrailers(['Trailer: X-Key'], [`X-Key: ${RAW_KEY}`])], 'passed'],
  'a trailer that was not announced': [[behindTrailers([], [`X-Key: Bearer ${RAW_KEY}`])], 'passed'],
  'a trailer that is announced to be one': [[behindTrailers([`Trailer: ${RAW_KEY}`], [`${RAW_KEY}: 1`])], 'refused'],
  'the name of a trailer': [[behindTrailers([], [`${RAW_KEY}: 1`, `X-B: 2`])], 'passed'],
  'the second of many trailers': [[behindTrailers([], ['X-A: 1', `X-Key: ${RAW_KEY}`, 'X-B: 2'])], 'passed'],
  'a trailer in pieces': [behindTrailers([], [`X-Key: ${RAW_KEY}`]).split(/(?<=proj)|(?<=raw-)|(?<=0123)/), 'passed'],
  'the extension of a chunk': [[answerText(OK_CHUNKS, `2;key=${RAW_KEY}\r\nok\r\n0;${RAW_KEY}\r\n\r\n`)], 'passed'],
  'an interim answer': [
    [answerText([`HTTP/1.1 103 ${RAW_KEY}`, `Link: ${RAW_KEY}`]), sized(['HTTP/1.1 200 OK'])],
    'passed',
  ],
  'a header of a redirect': [[sized(['HTTP/1.1 302 Found', `Location: /?${RAW_KEY}`])], 'refused'],
  'a header of an answer without a body': [[answerText(['HTTP/1.1 304 Same', `ETag: "${RAW_KEY}"`])], 'refused'],
  'a header that stays here': [[sized(['HTTP/1.1 200 OK', `Set-Cookie: a=${RAW_KEY}`])], 'refused'],
  'the name of a header': [[sized(['HTTP/1.1 200 OK', `${RAW_KEY}: 1`])], 'refused'],
  'a status text': [[sized([`HTTP/1.1 200 ${RAW_KEY}`])], 'refused'],
  'an error': [[sized(['HTTP/1.1 400 No'], `no ${RAW_KEY}`)], 'refused'],
  'a compressed error': [
    [sized(['HTTP/1.1 500 No', 'Content-Encoding: gzip'], gzipSync(RAW_KEY).toString('latin1'))],
    'refused',
  ],
  'a body': [[chunked(`begin ${RAW_KEY} end`)], 'cut'],
  'three chunks': [[chunked('begin ', ...inThree, ' end')], 'cut'],
  'a chunk for each letter': [[chunked('begin ', ...RAW_KEY.split(''), ' end')], 'cut'],
  'three pieces of a body of known length': [
    sized(['HTTP/1.1 200 OK'], `begin ${RAW_KEY} end`).split(/(?<=begin )|(?<=proj-raw)|(?<=-012)/),
    'cut',
  ],
  events: [
    [answerText(['HTTP/1.1 200 OK', 'Content-Type: text/event-stream']), 'data: begin\n\n', `data: ${RAW_KEY}\n\n`],
    'cut',
  ],
}

for (const [version, environment, asking] of [
  ['plain HTTP', PLAIN, overWires],
  ['TLS', {}, overWires],
  ['HTTP/2', {}, overSession],
] as const) {
  test(`over ${version}, the key does not leave in any part of an answer, trailers included`, async (t) => {
    const upstream = await startRawUpstream(t)
    const soakp = await startSoakp(t, { ...environment, SOAKP_UPSTREAM: upstream.url })
    const { token } = await soakp.saveKey({ key: RAW_KEY })
    const ask = asking(t, soakp, token)
    for (const [title, [pieces, outcome]] of Object.entries(cases)) {
      upstream.answer(async ({ wire: { socket } }) => {
        for (const piece of pieces) {
          await new Promise((resolve) => socket.write(piece, 'latin1', resolve))
          await new Promise((resolve) => setImmediate(resolve))
        }
        if (!/^(?:content-length|transfer-encoding)/im.test(pieces.join(''))) socket.end()
      })
      const { text, isWhole } = await ask()
      t.equal(isWhole, outcome !== 'cut', title)
      t.equal(text.includes('SOAKP_UPSTREAM_LEAK'), outcome === 'refused', `${title}: ${outcome}`)
      t.notOk(
        [...inThree.slice(1), RAW_KEY.slice(0, RAW_KEY.length / 2)].some((part) => text.includes(part)),
        `${title}: not even a part of it`,
      )
    }
  })
}

/** So long that no coding writes it as it is. */
const SECRET_TEXT = Buffer.from(`{"message":"Incorrect key ${RAW_KEY}. ${RAW_KEY} is wrong."}`.repeat(20))
const KEY_FREE = Buffer.from('{"message":"nothing to see"}'.repeat(20))

/** Encoded errors that strict decoders give up on, and clients read. */
const odd: Readonly<Record<string, readonly [encoding: string, body: Buffer]>> = {
  'deflate without its frame': ['deflate', deflateRawSync(SECRET_TEXT)],
  'deflate with a wrong checksum': ['deflate', damaged(deflateSync(SECRET_TEXT), deflateSync(SECRET_TEXT).length - 1)],
  'gzip with a wrong checksum': ['gzip', damaged(gzipSync(SECRET_TEXT), gzipSync(SECRET_TEXT).length - 6)],
  'gzip with something behind it': ['gzip', Buffer.concat([gzipSync(SECRET_TEXT), Buffer.from('garbage!')])],
  'a second member of gzip': ['gzip', Buffer.concat([gzipSync(KEY_FREE), gzipSync(SECRET_TEXT)])],
  'a second frame of zstd': ['zstd', Buffer.concat([zstdCompressSync(KEY_FREE), zstdCompressSync(SECRET_TEXT)])],
  'the key as it is behind brotli': ['br', Buffer.concat([brotliCompressSync(KEY_FREE), Buffer.from(RAW_KEY)])],
  'two codings, the inner one damaged': [
    'gzip, br',
    brotliCompressSync(damaged(gzipSync(SECRET_TEXT), gzipSync(SECRET_TEXT).length - 6)),
  ],
}

test('an encoded error answer that holds the key is withheld where a strict decoder would give up', async (t) => {
  const { ask } = await startPassing(t)
  for (const [what, [encoding, body]] of Object.entries(odd)) {
    const lines = ['HTTP/1.1 400 Bad', `Content-Encoding: ${encoding}`, `Content-Length: ${body.length}`]
    const answer = await ask(({ wire }) => wire.write(answerText(lines, body.toString('latin1'))))
    t.match(answer, /^HTTP\/1\.1 502 [^]*SOAKP_UPSTREAM_LEAK/, what)
  }
})
