import { createHash, randomBytes } from 'node:crypto'
import type { SocketCase, SocketStep } from './cases/sockets.ts'
import { hostOf, open } from './door.ts'
import type { Door } from './door.ts'
import { NOTHING } from './exchange.ts'
import type { Received } from './exchange.ts'
import type { Header, Message } from './messages.ts'
import { headerOf, readBody, readHead } from './messages.ts'
import { createProgress } from './progress.ts'
import { openEnd } from './transcript.ts'
import type { SocketEnd, Transcript } from './transcript.ts'
import type { RecordingUpstream } from './upstream.ts'
import type { Wire } from './wire.ts'

/** What both sides of a WebSocket saw. */
export interface SocketExchange {
  readonly requests: readonly Message[]
  readonly received: Received
  /** What the client was sent, and what the upstream was; undefined where there was no WebSocket. */
  readonly client: Transcript | undefined
  readonly upstream: Transcript | undefined
  /** Whether the answer proves that the client's key was read. */
  readonly isAccepted: boolean
}

/** Opens one WebSocket through a door and plays the case to its end. */
export async function exchangeSocket(
  recording: RecordingUpstream,
  door: Door,
  each: SocketCase,
): Promise<SocketExchange> {
  const far = Promise.withResolvers<SocketEnd>()
  const { requests } = recording.follow({
    answer: { pieces: [] },
    delivered: createProgress(),
    async takeOver(request, wire) {
      wire.write(answerTo(request, each))
      if (each.refusal !== undefined) return
      const end = openEnd(wire, false)
      far.resolve(end)
      await end.over
    },
  })
  const wire = await open(door)
  try {
    const key = randomBytes(16).toString('base64')
    wire.write(handshake(door, each, key))
    const received = await readAnswer(wire)
    const isAccepted = headerOf(received, 'sec-websocket-accept') === acceptOf(key)
    if (received.status !== 101) return { requests, received, client: undefined, upstream: undefined, isAccepted }
    const near = openEnd(wire, true)
    const upstream = await far.promise
    await play(each.steps, near, upstream)
    return { requests, received, client: near.transcript, upstream: upstream.transcript, isAccepted }
  } finally {
    wire.socket.destroy()
  }
}

async function play(steps: readonly SocketStep[], client: SocketEnd, upstream: SocketEnd): Promise<void> {
  const expected = { client: 0, upstream: 0 }
  const ends: SocketEnd[] = []
  for (const { from, frames } of steps) {
    const [sender, receiver, to] =
      from === 'client' ? [client, upstream, 'upstream' as const] : [upstream, client, 'client' as const]
    ends.push(receiver)
    if (frames === undefined) {
      sender.drop()
      await receiver.over
      return
    }
    for (const each of frames) {
      sender.send(each)
      if (each.isLast) expected[to] += 1
    }
    await Promise.race([receiver.came.due(expected[to]), receiver.over])
  }
  await Promise.all([client.over, upstream.over])
}

function handshake(door: Door, { target, headers, protocols }: SocketCase, key: string): string {
  const lines: Header[] = [
    ['Host', hostOf(door)],
    ['Authorization', `Bearer ${door.token}`],
    ['Connection', 'Upgrade'],
    ['Upgrade', 'websocket'],
    ['Sec-WebSocket-Version', '13'],
    ['Sec-WebSocket-Key', key],
    ...headers,
    ...(protocols.length === 0 ? [] : [['Sec-WebSocket-Protocol', protocols.join(', ')] as const]),
  ]
  const text = lines.map(([name, value]) => `${name}: ${value}`)
  return [`GET ${door.basePath}${target} HTTP/1.1`, ...text, '', ''].join('\r\n')
}

function answerTo(request: Message, { answerHeaders, refusal }: SocketCase): string {
  if (refusal !== undefined) return refusal.pieces.join('')
  const accept = acceptOf(headerOf(request, 'sec-websocket-key') ?? '')
  const lines = ['Upgrade: websocket', 'Connection: Upgrade', `Sec-WebSocket-Accept: ${accept}`, ...answerHeaders]
  return ['HTTP/1.1 101 Switching Protocols', ...lines, '', ''].join('\r\n')
}

async function readAnswer(wire: Wire): Promise<Received> {
  const answer = await readHead(wire)
  if (answer === undefined) return NOTHING
  const [, status = '', reason = ''] = /^HTTP\/1\.1 (\d{3}) ?(.*)$/s.exec(answer.line) ?? []
  await readBody(wire, answer, { hasNone: status === '101', endsWithConnection: true })
  return { ...NOTHING, ...answer, status: Number(status), reason }
}

/** RFC 6455 section 4.2.2. */
function acceptOf(key: string): string {
  return createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
}
