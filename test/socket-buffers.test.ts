import { once } from 'node:events'
import { test } from 'tap'
import type { Test } from 'tap'
import { createSocketBuffers } from '../services/socket-buffers.ts'
import { startSoakp } from './support/soakp.ts'
import { PLAIN } from './support/refusals.ts'
import {
  closed,
  connect,
  frame,
  HANDSHAKE,
  nextMessage,
  openRaw,
  startFarServer,
  startFront,
} from './support/sockets.ts'
import { eventually, openWire, requestText } from './support/wire.ts'

const MEBIBYTE = 1_048_576

/** What a read counts beside its bytes. */
const READ_BYTES = 256

/** The start of a message of 16 MiB that has no end. */
const ENDLESS = Buffer.from([0x82, 0xff, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0, 0, 0, 0])

/** Starts a far server and a front with a budget. */
async function start(t: Test, mostBytes: number) {
  const buffers = createSocketBuffers(mostBytes)
  const { server, origin } = await startFarServer(t)
  const front = await startFront(t, { origin, buffers })
  return { buffers, server, front }
}

/** Starts to send a message that does not end, on a WebSocket whose own code would end it. */
function sendPart(socket: Awaited<ReturnType<typeof connect>>, bytes: number): void {
  socket.send(Buffer.alloc(bytes), { fin: false })
}

for (const [mode, environment] of [
  ['plain HTTP', PLAIN],
  ['TLS', {}],
] as const) {
  test(`over ${mode}, sockets that fill the memory are ended, and another token's message goes on`, async (t) => {
    const { server, origin } = await startFarServer(t)
    server.on('connection', (far) => far.on('message', (data: Buffer) => far.send(`${data.length} bytes`)))
    const soakp = await startSoakp(t, { ...environment, SOAKP_SOCKET_BUFFER_BYTES: String(4 * MEBIBYTE) })
    const { id } = await soakp.saveKey({ base_url: `${origin}/v1` })
    const [honest, attacker] = await Promise.all([soakp.mint(id), soakp.mint(id)])
    const url = `${soakp.address.replace('http', 'ws')}/v1/realtime`
    const headers = (token: string) => ({ ca: soakp.authority, headers: { authorization: `Bearer ${token}` } })
    const socket = await connect(t, url, [], headers(honest.token))
    sendPart(socket, MEBIBYTE)
    const wires = []
    for (let index = 0; index < 8; index += 1) {
      const wire = await openWire(t, soakp)
      wire.write(requestText(['GET /v1/realtime HTTP/1.1', ...HANDSHAKE, `Authorization: Bearer ${attacker.token}`]))
      await wire.until(/^HTTP\/1\.1 101 .*\r\n\r\n/s)
      // Smaller than the honest message, and far more in all.
      wire.write(Buffer.concat([ENDLESS, Buffer.alloc(0.75 * MEBIBYTE)]).toString('latin1'))
      wires.push(wire)
    }
    const said = await Promise.any(wires.map((wire) => wire.until(/SOAKP_SOCKET_BUFFER_BYTES/)))
    t.ok(said.includes('\x03\xf5unfinished messages of all WebSockets exceed SOAKP_SOCKET_BUFFER_BYTES'), '1013')
    const answered = nextMessage(socket)
    socket.send(Buffer.alloc(MEBIBYTE), { fin: true })
    t.equal(await answered, `${2 * MEBIBYTE} bytes`)
  })
}

test('what all sides keep stays below the budget, and all of it is given back', async (t) => {
  const { buffers, server, front } = await start(t, 2 * MEBIBYTE)
  const wires = await Promise.all(Array.from({ length: 6 }, () => openRaw(t, front.port)))
  let most = 0
  const watch = setInterval(() => (most = Math.max(most, buffers.bytes())), 1)
  t.teardown(() => clearInterval(watch))
  for (const wire of wires) wire.write(Buffer.concat([ENDLESS, Buffer.alloc(MEBIBYTE)]).toString('latin1'))
  await Promise.any(wires.map((wire) => wire.over()))
  await eventually('the last have arrived', () => buffers.bytes() > MEBIBYTE)
  t.ok(most <= 2 * MEBIBYTE, `${most} bytes`)
  for (const wire of wires) wire.socket.destroy()
  await eventually('nothing is kept', () => buffers.bytes() === 0)
  await eventually('the upstream has none left', () => server.clients.size === 0)
})

test("an upstream's message counts too; when it is the largest, the client is told 1013", async (t) => {
  const { buffers, server, front } = await start(t, MEBIBYTE)
  const [client, [far]] = await Promise.all([connect(t, front.url), once(server, 'connection')])
  sendPart(far, MEBIBYTE / 2)
  await eventually('it is counted', () => buffers.bytes() >= MEBIBYTE / 2)
  const [atClient, atFar] = [closed(client), closed(far)]
  sendPart(far, MEBIBYTE)
  t.match(await atClient, { code: 1013, reason: /SOAKP_SOCKET_BUFFER_BYTES/ })
  t.equal((await atFar).code, 1006)
  t.equal(buffers.bytes(), 0)
})

test('a message is given back when the other side has taken it, not before', async (t) => {
  const { buffers, server, front } = await start(t, 64 * MEBIBYTE)
  const [client, [far]] = await Promise.all([connect(t, front.url), once(server, 'connection')])
  far.pause()
  client.send(Buffer.alloc(15 * MEBIBYTE))
  await eventually('it waits', () => buffers.bytes() >= 15 * MEBIBYTE)
  const arrived = nextMessage(far)
  far.resume()
  t.equal((await arrived).length, 15 * MEBIBYTE)
  await eventually('it is given back', () => buffers.bytes() === 0)
})

test('pings and pongs between messages keep nothing, within a message they are counted with it', async (t) => {
  const { buffers, server, front } = await start(t, MEBIBYTE)
  const [wire, [far]] = await Promise.all([openRaw(t, front.port), once(server, 'connection')])
  const pongs = once(far, 'pong')
  wire.write(frame('are you there', { opcode: 9, isMasked: true }) + frame('', { opcode: 10, isMasked: true }))
  await pongs
  t.equal(buffers.bytes(), 0, "the client's")
  far.ping('and you')
  await wire.until(/and you/)
  t.equal(buffers.bytes(), 0, "the upstream's")
  sendPart(far, 1)
  far.ping('amid')
  await wire.until(/amid/)
  t.ok(buffers.bytes() > READ_BYTES, "the upstream's part")
  far.send('', { fin: true })
  await eventually('it is taken', () => buffers.bytes() === 0)
  const ping = once(far, 'ping')
  const part = frame('a', { bits: 0, isMasked: true }) + frame('within', { opcode: 9, isMasked: true })
  wire.write(part)
  await ping
  t.equal(buffers.bytes(), part.length + READ_BYTES)
})

test('a client that does not answer its close frame, or reads nothing, keeps no memory meanwhile', async (t) => {
  const { buffers, server, front } = await start(t, 16 * MEBIBYTE)
  for (const isDeaf of [false, true]) {
    const [{ running }, [far], wire] = await Promise.all([
      front.relayed(),
      once(server, 'connection'),
      openRaw(t, front.port),
    ])
    if (isDeaf) {
      wire.socket.pause()
      far.send(Buffer.alloc(15 * MEBIBYTE))
      await eventually('it waits', () => buffers.bytes() >= 15 * MEBIBYTE)
    }
    const beginMs = performance.now()
    wire.write(Buffer.concat([ENDLESS, Buffer.alloc(8 * MEBIBYTE)]).toString('latin1'))
    wire.write('a'.repeat(7.99 * MEBIBYTE))
    t.match(await running.outcome, { end: 'crowded out', code: 1013 })
    t.ok(performance.now() - beginMs < 1_500, 'sooner than a client may take to answer a close frame')
    t.equal(buffers.bytes(), 0)
  }
})

test('a side that broke the protocol is read to its end without being counted', async (t) => {
  const { buffers, front } = await start(t, MEBIBYTE)
  const [{ running }, wire] = await Promise.all([front.relayed(), openRaw(t, front.port)])
  wire.write(frame('a', { bits: 0, isMasked: true }) + frame('no mask') + 'a'.repeat(4 * MEBIBYTE))
  t.match(await running.outcome, { end: 'client closed', code: 1006 })
  await eventually('nothing is kept', () => buffers.bytes() === 0)
})

test('the owner who keeps the most loses the largest side, once, and a read of one byte counts as more', (t) => {
  const ended: string[] = []
  const buffers = createSocketBuffers(10_000)
  const open = (owner: string, name: string) => buffers.of(owner)(() => ended.push(name))
  const [one, two, three] = [open('many', 'one'), open('many', 'two'), open('single', 'three')]
  three.add(4_000)
  one.add(2_300)
  two.add(2_600)
  one.add(1)
  t.same(ended, [])
  three.add(10)
  t.same(ended, ['two'], 'neither the largest of all nor the one that asked')
  const left = 4_000 + 2_300 + 1 + 10 + 4 * READ_BYTES
  t.equal(buffers.bytes(), left)
  two.add(9_000)
  two.taken()
  two.leave()
  t.equal(buffers.bytes(), left, 'a side that has left is counted no more')
  three.leave()
  three.leave()
  one.taken()
  t.equal(buffers.bytes(), 0)
  t.end()
})
