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
  settled,
  startFarServer,
  startFront,
  switchingText,
} from '../support/sockets.ts'
import type { Relayed } from '../support/sockets.ts'
import { eventually, startRawUpstream } from '../support/wire.ts'

const KIB = 1_024
const MIB = 1_048_576

/** What the systems of two loopback connections may hold, with room to spare. */
const SYSTEM_BYTES = 40 * MIB

/** One read of a connection. */
const READ_BYTES = 64 * KIB

/** Who sends, who receives, and the relay's side that writes to the receiver. */
type Direction = [name: string, from: WebSocket, to: WebSocket, writer: WebSocket]

/** Returns both directions of a relay. */
function directions({ client, far, toClient, toUpstream }: Relayed): [Direction, Direction] {
  return [
    ['to the upstream', client, far, toUpstream],
    ['to the client', far, client, toClient],
  ]
}

/** Sends numbered messages of this size, each when the system has taken the one before, until it is stopped. */
function pump(from: WebSocket, bytes: number, how: 'send' | 'ping' = 'send') {
  let taken = 0
  const stopping = new AbortController()
  async function run(): Promise<number> {
    while (!stopping.signal.aborted) {
      const message = Buffer.alloc(bytes)
      message.writeUInt32BE(taken)
      const { promise, resolve } = Promise.withResolvers<unknown>()
      if (how === 'send') from.send(message, resolve)
      else from.ping(message, undefined, resolve)
      const error = await promise
      if (error instanceof Error) return taken
      taken += 1
    }
    return taken
  }
  const whole = run()
  return {
    taken: () => taken,
    stop: () => {
      stopping.abort()
      return whole
    },
  }
}

for (const bytes of [256 * KIB, 1_000]) {
  test(`a reader that stops slows a sender of ${bytes} bytes each, and loses nothing`, async (t) => {
    for (const [name, from, to, writer] of directions(await relay(t))) {
      to.pause()
      const { taken, stop } = pump(from, bytes)
      const before = await settled(taken, () => writer.bufferedAmount > 0)
      t.ok(before * bytes < SYSTEM_BYTES, `${name}: ${before} messages were taken from the sender`)
      t.ok(writer.bufferedAmount <= bytes + 2 * READ_BYTES, `${name}: ${writer.bufferedAmount} bytes wait in the relay`)
      let [arrived, isOrdered] = [0, true]
      to.on('message', (data: Buffer) => {
        isOrdered &&= data.length === bytes && data.readUInt32BE() === arrived
        arrived += 1
      })
      to.resume()
      const sent = await stop()
      await eventually('all messages', () => arrived === sent)
      t.ok(isOrdered, `${name}: all, whole and in order`)
    }
  })
}

test('a flood of pings is slowed like messages', async (t) => {
  for (const direction of [0, 1] as const) {
    const [name, from, to, writer] = directions(await relay(t))[direction]
    to.pause()
    const { taken, stop } = pump(from, 125, 'ping')
    await settled(taken, () => writer.bufferedAmount > 0)
    t.ok(writer.bufferedAmount <= 2 * READ_BYTES, `${name}: ${writer.bufferedAmount} bytes wait in the relay`)
    to.terminate()
    await stop()
  }
})

test('messages before a close arrive before it, however slow the reader', async (t) => {
  for (const direction of [0, 1] as const) {
    const [name, from, to] = directions(await relay(t))[direction]
    to.pause()
    for (let index = 0; index < 24; index += 1) from.send(Buffer.alloc(MIB, index))
    from.close(4_000, 'that was all')
    let arrived = 0
    to.on('message', () => (arrived += 1))
    to.resume()
    t.strictSame(await closed(to), { code: 4_000, reason: 'that was all' }, name)
    t.equal(arrived, 24, name)
  }
})

test('an idle side that answers pings lives, and the other hears nothing of it', async (t) => {
  const { client, far } = await relay(t, { heartbeatMs: 20 })
  const pings = { client: 0, far: 0 }
  client.on('ping', () => (pings.client += 1))
  far.on('ping', () => (pings.far += 1))
  const forwarded: string[] = []
  client.on('pong', () => forwarded.push('to the client'))
  far.on('pong', () => forwarded.push('to the upstream'))
  await eventually('many heartbeats', () => pings.client >= 10 && pings.far >= 10)
  t.strictSame(forwarded, [])
  t.strictSame([client.readyState, far.readyState], [client.OPEN, far.OPEN])
})

test('a client that answers no pings is given up', async (t) => {
  const { server, origin } = await startFarServer(t)
  const front = await startFront(t, { origin, heartbeatMs: 50 })
  const [[far], wire] = await Promise.all([once(server, 'connection'), openRaw(t, front.port)])
  t.equal((await closed(far)).code, 1006)
  const frames = frame(closePayload(1001, 'no answer to pings'), { opcode: 8 })
  await eventually('the reason', () => wire.text().endsWith(frames))
})

test('an upstream that answers no pings is given up', async (t) => {
  const upstream = await startRawUpstream(t)
  upstream.answer(({ wire, headers }) => wire.write(switchingText(headers)))
  const front = await startFront(t, { origin: new URL(upstream.url).origin, heartbeatMs: 50 })
  const client = await connect(t, front.url)
  t.strictSame(await closed(client), { code: 1011, reason: 'the upstream does not answer pings' })
  await eventually('the end of its connection', () => upstream.openConnections() === 0)
})

test('a reader that takes nothing any more is given up, even if both sides only send', async (t) => {
  const { client, far, running } = await relay(t, { heartbeatMs: 100 })
  client.pause()
  far.pause()
  const pumps = [pump(client, 64 * KIB), pump(far, 64 * KIB)]
  t.equal((await closed(far)).code, 1006)
  client.terminate()
  t.match(await running.outcome, { end: 'silent' })
  await Promise.all(pumps.map(({ stop }) => stop()))
})

test('a side is not silent while its long message comes slowly', async (t) => {
  const { server, origin } = await startFarServer(t)
  const front = await startFront(t, { origin, heartbeatMs: 40 })
  const [[far], wire] = await Promise.all([once(server, 'connection'), openRaw(t, front.port)])
  const bytes = frame(Buffer.alloc(100, 'x'), { isMasked: true })
  let sent = 0
  const slowly = setInterval(() => wire.write(bytes[sent++] ?? ''), 5)
  t.teardown(() => clearInterval(slowly))
  t.equal(String(await nextMessage(far)), 'x'.repeat(100), 'it took ten times the heartbeat')
})

test('a side is not silent while it takes a long message slowly, nor is the other', async (t) => {
  const heartbeatMs = 600
  const { server, origin } = await startFarServer(t)
  const front = await startFront(t, { origin, heartbeatMs, mostBytes: 64 * MIB })
  const [[far], { socket, text }] = await Promise.all([once(server, 'connection'), openRaw(t, front.port)])
  const slowUntilMs = performance.now() + 4 * heartbeatMs
  socket.on('data', () => performance.now() < slowUntilMs && socket.pause())
  const slowly = setInterval(() => socket.resume(), 10)
  t.teardown(() => clearInterval(slowly))
  for (const bytes of [48 * MIB, MIB]) far.send(Buffer.alloc(bytes))
  await eventually('all of it', () => socket.bytesRead > 49 * MIB, 60_000)
  t.ok(performance.now() > slowUntilMs, 'it took many heartbeats')
  far.send('and this')
  await eventually('the next message', () => text().endsWith('and this'))
})

test('a close waits for the message before it', async (t) => {
  const upstream = await startRawUpstream(t)
  upstream.answer(({ wire, headers }) => wire.write(switchingText(headers)))
  const front = await startFront(t, { origin: new URL(upstream.url).origin })
  const [client, { toClient }] = await Promise.all([connect(t, front.url), front.relayed()])
  client.pause()
  const close = frame(closePayload(4_000, 'that was all'), { opcode: 8 })
  upstream.wires[0]?.write(frame(Buffer.alloc(16 * MIB), { opcode: 2 }) + close)
  await eventually('the message waits', () => toClient.bufferedAmount > MIB)
  await settled(() => toClient.bufferedAmount)
  t.equal(toClient.readyState, toClient.OPEN)
  const arrived = nextMessage(client)
  const ended = closed(client)
  client.resume()
  t.equal((await arrived).length, 16 * MIB)
  t.strictSame(await ended, { code: 4_000, reason: 'that was all' })
})

test('between two messages of one read others have their turn', async (t) => {
  const front = await startFront(t, { origin: (await startFarServer(t)).origin })
  const relayed = front.relayed()
  const wire = await openRaw(t, front.port)
  const { toClient } = await relayed
  const count = 10_000
  let messages = 0
  let messagesBeforeOthers: number | undefined
  toClient.on('message', () => {
    messages += 1
    if (messages === 1) setImmediate(() => (messagesBeforeOthers = messages))
  })
  wire.socket.write(Buffer.from(frame('', { isMasked: true }).repeat(count), 'latin1'))
  await eventually('all messages', () => messages === count)
  t.ok((messagesBeforeOthers ?? count) < 10, `${messagesBeforeOthers} of ${count} came first`)
})
