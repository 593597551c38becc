import { once } from 'node:events'
import { connect, constants } from 'node:http2'
import type { ClientHttp2Session, ClientHttp2Stream, OutgoingHttpHeaders } from 'node:http2'
import type { Call } from './cases/case.ts'
import { hostOf } from './door.ts'
import type { Door } from './door.ts'
import { NOTHING, untilSent } from './exchange.ts'
import type { CallProgress, Client, Received } from './exchange.ts'
import type { Header } from './messages.ts'

/** Headers that HTTP/2 forbids (RFC 9113 section 8.2.2). */
const FORBIDDEN = new Set(['connection', 'keep-alive', 'proxy-connection', 'te', 'transfer-encoding', 'upgrade'])

/** Creates a client that speaks HTTP/2, with one connection for all calls. */
export function createHttp2Client(door: Door): Client {
  let session: ClientHttp2Session | undefined

  function connected(): ClientHttp2Session {
    if (session !== undefined && !session.closed && !session.destroyed) return session
    session = connect(`https://${hostOf(door)}`, { ...(door.authority && { ca: door.authority }) })
    return session.on('error', () => undefined)
  }

  return {
    async send(call, progress) {
      const stream = connected().request(headersOf(door, call), { endStream: call.body === undefined })
      const received = readAnswer(stream, call, progress)
      if (call.expectsContinue === true) await Promise.race([once(stream, 'continue'), received])
      await sendBody(stream, call, progress)
      return received
    },

    close: () => session?.destroy(),
  }
}

function headersOf(door: Door, call: Call): OutgoingHttpHeaders {
  const { method, target, body, headers: extra } = call
  // Names may be such as a plain object has already: `constructor`.
  const none = Object.create(null) as OutgoingHttpHeaders
  const headers = Object.assign(none, { ':method': method, ':path': door.basePath + target })
  const isSized = typeof body === 'string' && call.isChunked !== true
  const all: Header[] = [
    ['authorization', `Bearer ${door.token}`],
    ...extra,
    ...(isSized ? [['content-length', String(body.length)] as const] : []),
    ...(call.expectsContinue === true ? [['expect', '100-continue'] as const] : []),
  ]
  for (const [spelling, value] of all) {
    const name = spelling.toLowerCase()
    if (FORBIDDEN.has(name)) continue
    const known = headers[name]
    headers[name] = known === undefined ? value : [known as string | string[], value].flat()
  }
  return headers
}

async function sendBody(stream: ClientHttp2Stream, { body, leavesAfter }: Call, progress: CallProgress): Promise<void> {
  if (body === undefined) return
  if (leavesAfter !== undefined && 'sent' in leavesAfter) {
    stream.write(Buffer.from(String(body).slice(0, leavesAfter.sent), 'latin1'))
    await untilSent(progress, leavesAfter.sent)
    // Its `close` would end the body before it resets the stream.
    stream.destroy()
    return
  }
  const closed = once(stream, 'close').catch(() => undefined)
  let bytes = 0
  for (const piece of typeof body === 'string' ? [body] : body) {
    stream.write(Buffer.from(piece, 'latin1'))
    bytes += piece.length
    if (typeof body !== 'string') await Promise.race([progress.received.due(bytes), closed])
  }
  stream.end()
}

async function readAnswer(stream: ClientHttp2Stream, call: Call, { delivered }: CallProgress): Promise<Received> {
  const interim: number[] = []
  let [status, headers, trailers]: [number | undefined, Header[], Header[]] = [undefined, [], []]
  let body = ''
  let isWhole = false
  stream.on('headers', (block) => interim.push(Number(block[':status'])))
  stream.on('continue', () => interim.push(100))
  stream.on('response', (block, _flags, raw) => {
    status = block[':status']
    headers = pairs(raw)
  })
  stream.on('trailers', (_block, _flags, raw: string[]) => (trailers = pairs(raw)))
  stream.on('data', (chunk: Buffer) => {
    body += chunk.toString('latin1')
    delivered.note(chunk.length)
    const { leavesAfter } = call
    if (leavesAfter !== undefined && 'received' in leavesAfter && body.length >= leavesAfter.received) {
      stream.close(constants.NGHTTP2_CANCEL)
    }
  })
  stream.on('end', () => (isWhole = true))
  stream.on('error', () => undefined)
  await new Promise((resolve) => stream.once('close', resolve))
  const end = isWhole && stream.rstCode === constants.NGHTTP2_NO_ERROR ? 'complete' : 'cut'
  return { ...NOTHING, status, headers, body, end, interim, trailers }
}

function pairs(raw: readonly string[]): Header[] {
  return raw.flatMap((name, index) =>
    index % 2 === 0 && !name.startsWith(':') ? [[name, raw[index + 1] ?? ''] as const] : [],
  )
}
