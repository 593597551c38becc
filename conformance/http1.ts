import { setImmediate, setTimeout } from 'node:timers/promises'
import type { Call } from './cases/case.ts'
import { hostOf, open } from './door.ts'
import type { Door } from './door.ts'
import { NOTHING, untilSent } from './exchange.ts'
import type { CallProgress, Client, Received } from './exchange.ts'
import type { Header } from './messages.ts'
import { readBody, readHead } from './messages.ts'
import type { Wire } from './wire.ts'

/** Creates a client that writes HTTP/1.1 itself, with a connection for each call. */
export function createHttp1Client(door: Door): Client {
  let wire: Wire | undefined

  return {
    async send(call, progress) {
      wire = await open(door)
      try {
        const continued = Promise.withResolvers<void>()
        const sent = sendRequest(door, wire, call, progress, continued.promise)
        const received = await readAnswer(wire, call, progress, continued.resolve)
        if (call.leavesAfter !== undefined || call.answer.isEarly === true) await sent
        return received
      } finally {
        wire.socket.destroy()
      }
    },

    close: () => void wire?.socket.destroy(),
  }
}

/** Long enough for a reader to have read what came before. */
const REST_MS = 30

async function sendRequest(
  door: Door,
  wire: Wire,
  call: Call,
  progress: CallProgress,
  continued: Promise<void>,
): Promise<void> {
  const { body, leavesAfter } = call
  wire.write(headText(door, call))
  if (call.expectsContinue === true) await continued
  if (body === undefined) return
  if (leavesAfter !== undefined && 'sent' in leavesAfter) {
    wire.write(framed(call, String(body).slice(0, leavesAfter.sent)))
    await untilSent(progress, leavesAfter.sent)
    wire.socket.destroy()
    return
  }
  const { restsAfter } = call
  if (restsAfter !== undefined) {
    const text = String(body)
    wire.write(text.slice(0, restsAfter))
    await setTimeout(REST_MS)
    wire.write(text.slice(restsAfter))
    return
  }
  let bytes = 0
  for (const piece of typeof body === 'string' ? [body] : body) {
    wire.write(framed(call, piece))
    bytes += piece.length
    if (typeof body !== 'string') await Promise.race([progress.received.due(bytes), wire.ended])
  }
  if (isChunked(call)) wire.write(`0\r\n${call.trailers ?? ''}\r\n`)
}

function headText(door: Door, call: Call): string {
  const frame: Header[] = []
  if (isChunked(call)) frame.push(['Transfer-Encoding', 'chunked'])
  else if (call.body !== undefined) frame.push(['Content-Length', String(call.body.length)])
  if (call.expectsContinue === true) frame.push(['Expect', '100-continue'])
  const headers: Header[] = [
    ['Host', hostOf(door)],
    ['Authorization', `Bearer ${door.token}`],
    ...call.headers,
    ...frame,
  ]
  const lines = headers.map(([name, value]) => `${name}: ${value}`)
  return [`${call.method} ${door.basePath}${call.target} HTTP/1.1`, ...lines, '', ''].join('\r\n')
}

function isChunked({ body, isChunked: isAsked }: Call): boolean {
  return isAsked === true || Array.isArray(body)
}

function framed(call: Call, piece: string): string {
  return isChunked(call) && piece !== '' ? `${piece.length.toString(16)}\r\n${piece}\r\n` : piece
}

async function readAnswer(
  wire: Wire,
  call: Call,
  { delivered }: CallProgress,
  onContinue: () => void,
): Promise<Received> {
  const interim: number[] = []
  for (;;) {
    const answer = await readHead(wire)
    if (answer === undefined) return { ...NOTHING, interim, extra: wire.rest() }
    const [, status = '', reason = ''] = /^HTTP\/1\.1 (\d{3}) ?(.*)$/s.exec(answer.line) ?? []
    if (status.startsWith('1')) {
      interim.push(Number(status))
      if (status === '100') onContinue()
      continue
    }
    const hasNone = call.method === 'HEAD' || status === '204' || status === '304'
    const { leavesAfter } = call
    const isRead = readBody(wire, answer, { hasNone, endsWithConnection: true, onBytes: delivered.note })
    if (leavesAfter !== undefined && 'received' in leavesAfter) {
      await Promise.race([delivered.reached(leavesAfter.received), isRead])
      wire.socket.destroy()
    }
    await isRead
    // What does not belong to the answer would be taken for the next one.
    await setImmediate()
    return { ...answer, status: Number(status), reason, interim, extra: wire.rest() }
  }
}
