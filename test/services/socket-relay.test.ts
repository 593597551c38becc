import { once } from 'node:events'
import { test } from 'tap'
import type { WebSocket } from 'ws'
import {
  closePayload,
  closed,
  connect,
  frame,
  nextMessage,
  openRaw,
  relay,
  startFarServer,
  startFront,
  switchingText,
} from '../support/sockets.ts'
import type { FrameOptions, Relayed } from '../support/sockets.ts'
import { eventually, startRawUpstream } from '../support/wire.ts'

const MIB = 1_048_576

/** Both directions of a relay, each as the one that sends and the one that receives. */
function directions({ client, far }: Relayed): readonly [name: string, from: WebSocket, to: WebSocket][] {
  return [
    ['to the upstream', client, far],
    ['to the client', far, client],
  ]
}

test('messages arrive whole, in order and with their type, both ways', async (t) => {
  for (const [name, from, to] of directions(await relay(t))) {
    const sent = ['text', Buffer.from([0, 255, 128]), '', Buffer.alloc(0), 'ünï 🎧', 'x'.repeat(70_000), '{"a":1}']
    const got: (string | Buffer)[] = []
    to.on('message', (data, isBinary) => got.push(isBinary ? (data as Buffer) : (data as Buffer).toString()))
    for (const each of sent) from.send(each)
    await eventually('all of them', () => got.length === sent.length)
    t.strictSame(got, sent, name)
  }
})

test('fragments arrive joined, and a ping between them arrives before', async (t) => {
  for (const [name, from, to] of directions(await relay(t))) {
    const events: string[] = []
    to.on('ping', (data) => events.push(`ping ${String(data)}`))
    to.on('message', (data: Buffer) => events.push(`message ${data.toString()}`))
    from.send('in ', { fin: false })
    from.send('three ', { fin: false })
    from.ping('between')
    from.send('parts', { fin: true })
    await eventually('both', () => events.length === 2)
    t.strictSame(events, ['ping between', 'message in three parts'], name)
  }
})

test('a ping is answered by the other side, with its payload', async (t) => {
  for (const [name, from, to] of directions(await relay(t))) {
    const [pinged, answered] = [once(to, 'ping'), once(from, 'pong')]
    from.ping('are you there?')
    t.equal(String((await pinged)[0]), 'are you there?', name)
    t.equal(String((await answered)[0]), 'are you there?', name)
    const unasked = once(to, 'pong')
    from.pong('still here')
    t.equal(String((await unasked)[0]), 'still here', `${name}, without a ping`)
    const pongs = { from: 0, to: 0 }
    from.on('pong', () => (pongs.from += 1))
    to.on('pong', () => (pongs.to += 1))
    to.once('message', () => to.send('and back'))
    from.ping()
    from.send('there')
    t.equal(await nextMessage(from), 'and back')
    t.strictSame(pongs, { from: 1, to: 0 }, `${name}: answered once`)
  }
})

test('a message of 16 MiB passes, and one byte more is 1009', async (t) => {
  const tooLong = {
    client: { sender: { code: 1009, reason: '' }, other: { code: 1006, reason: '' } },
    far: {
      sender: { code: 1009, reason: '' },
      other: { code: 1009, reason: "the upstream's message is longer than SOAKP_SOCKET_MESSAGE_BYTES" },
    },
  }
  for (const end of ['client', 'far'] as const) {
    const relayed = await relay(t)
    const [from, to] = end === 'client' ? [relayed.client, relayed.far] : [relayed.far, relayed.client]
    const arrived = nextMessage(to)
    from.send(Buffer.alloc(16 * MIB, end))
    t.ok(Buffer.alloc(16 * MIB, end).equals((await arrived) as Buffer), `from the ${end}`)
    const ends = Promise.all([closed(from), closed(to)])
    from.send(Buffer.alloc(16 * MIB + 1))
    const [sender, other] = await ends
    t.strictSame({ sender, other }, tooLong[end], `from the ${end}`)
  }
})

test('close codes and reasons arrive as they were given, both ways', async (t) => {
  const cases: (readonly [number?, string?])[] = [
    [1000, 'done'],
    [1001],
    [1012, 'service restart'],
    [3000, 'invalid_request_error.invalid_api_key'],
    [4999, 'ä'.repeat(61)],
    [],
  ]
  for (const [code, reason = ''] of cases) {
    for (const end of ['client', 'far'] as const) {
      const relayed = await relay(t)
      const [from, to] = end === 'client' ? [relayed.client, relayed.far] : [relayed.far, relayed.client]
      const arrived = closed(to)
      from.close(code, reason)
      const expected = { code: code ?? 1005, reason }
      t.strictSame(await arrived, expected, `${code} from the ${end}`)
      const outcome = await relayed.running.outcome
      t.match(outcome, { end: end === 'client' ? 'client closed' : 'upstream closed', code: expected.code })
    }
  }
})

test('a reason of our own is cut between characters', async (t) => {
  const reasons = [
    ['a'.repeat(122) + '🎧', 'a'.repeat(122)],
    ['ä'.repeat(100), 'ä'.repeat(61)],
    ['a'.repeat(123), 'a'.repeat(123)],
  ] as const
  for (const [given, expected] of reasons) {
    const { client, far, running } = await relay(t)
    const ends = Promise.all([closed(client), closed(far)])
    running.end(1008, given)
    const [atClient, atFar] = await ends
    t.strictSame(atClient, { code: 1008, reason: expected })
    t.equal(atFar.code, 1006, 'the upstream is cut off')
    t.match(await running.outcome, { end: 'ended', code: 1008 })
  }
})

test('a side that drops takes the other with it', async (t) => {
  const first = await relay(t)
  const atFar = closed(first.far)
  first.client.terminate()
  t.equal((await atFar).code, 1006)
  const second = await relay(t)
  const atClient = closed(second.client)
  second.far.terminate()
  t.equal((await atClient).code, 1006)
})

type Fault = readonly [name: string, payload: string | Buffer, options: FrameOptions, code: number]

const faults: readonly Fault[] = [
  ['text that is no UTF-8', Buffer.from([0xc3, 0x28]), {}, 1007],
  ['a close reason that is no UTF-8', closePayload(1000, Buffer.from([0xc3, 0x28])), { opcode: 8 }, 1007],
  ['RSV1', 'x', { bits: 12 }, 1002],
  ['RSV2', 'x', { bits: 10 }, 1002],
  ['RSV3', 'x', { bits: 9 }, 1002],
  ['an unknown opcode', 'x', { opcode: 3 }, 1002],
  ['a continuation of nothing', 'x', { opcode: 0 }, 1002],
  ['a fragmented ping', 'x', { opcode: 9, bits: 0 }, 1002],
  ['a close code that cannot be sent', closePayload(1005), { opcode: 8 }, 1002],
  ['a close code that nobody has', closePayload(999), { opcode: 8 }, 1002],
  ['a close code of one byte', 'x', { opcode: 8 }, 1002],
  ['garbage', Buffer.from('GET / HTTP/1.1'), { opcode: 7, bits: 4 }, 1002],
]

test('a client that breaks the protocol is told so, and the upstream is rid of it', async (t) => {
  const { server, origin } = await startFarServer(t)
  const front = await startFront(t, { origin })
  for (const [name, payload, options, code] of faults) {
    const connected = once(server, 'connection')
    const wire = await openRaw(t, front.port)
    const [far] = await connected
    const ended = closed(far)
    wire.write(frame(payload, { ...options, isMasked: true }))
    const answer = frame(closePayload(code), { opcode: 8 })
    t.ok((await wire.over()).endsWith(answer), `${name} is ${code}`)
    t.equal((await ended).code, 1006, name)
  }
})

test('an upstream that breaks the protocol is told so, and the client learns why', async (t) => {
  const upstream = await startRawUpstream(t)
  upstream.answer(({ wire, headers }) => wire.write(switchingText(headers)))
  const front = await startFront(t, { origin: new URL(upstream.url).origin })
  for (const [name, payload, options] of faults) {
    const client = await connect(t, front.url)
    const ended = closed(client)
    upstream.wires.at(-1)?.write(frame(payload, options))
    t.strictSame(await ended, { code: 1011, reason: 'the upstream broke the WebSocket protocol' }, name)
  }
})

test('a bomb is refused at its first bytes, and a flood of fragments at its limit', async (t) => {
  const { server, origin } = await startFarServer(t)
  const front = await startFront(t, { origin })
  const gigabyte = Buffer.from([0x82, 0xff, 0, 0, 0, 0, 0x40, 0, 0, 0]).toString('latin1')
  const flood = frame('', { bits: 0, isMasked: true }) + frame('', { opcode: 0, bits: 0, isMasked: true }).repeat(5_000)
  for (const [name, bytes, code] of [
    ['a frame of 1 GiB', gigabyte, 1009],
    ['5000 empty fragments', flood, 1008],
  ] as const) {
    const connected = once(server, 'connection')
    const wire = await openRaw(t, front.port)
    const [far] = await connected
    const ended = closed(far)
    wire.write(bytes)
    t.ok((await wire.over()).endsWith(frame(closePayload(code), { opcode: 8 })), `${name} is ${code}`)
    t.equal((await ended).code, 1006, name)
  }
})

test('the key never reaches the client, in whatever the upstream sends', async (t) => {
  const key = 'sk-proj-the-key-of-the-upstream'
  const ways: readonly [name: string, send: (far: WebSocket) => unknown][] = [
    ['text', (far) => far.send(`{"error":"Incorrect API key provided: ${key}"}`)],
    ['bytes', (far) => far.send(Buffer.from(`\0${key}\0`))],
    ['two fragments', (far) => [far.send(key.slice(0, 9), { fin: false }), far.send(key.slice(9))]],
    ['a ping', (far) => far.ping(key)],
    ['a pong', (far) => far.pong(key)],
    ['a close reason', (far) => far.close(3_000, key)],
  ]
  for (const [name, send] of ways) {
    const { client, far } = await relay(t, { key })
    const got: unknown[] = []
    for (const event of ['message', 'ping', 'pong']) client.on(event, (data) => got.push(String(data)))
    const ends = Promise.all([closed(client), closed(far)])
    far.send('before')
    send(far)
    if (far.readyState === far.OPEN) far.send('after')
    const [{ code, reason }] = await ends
    t.strictSame([code, reason], [1008, 'the upstream sent the key back; its message was withheld'], name)
    t.strictSame(got, ['before'], `${name}: nothing of it and nothing after it`)
  }
})
