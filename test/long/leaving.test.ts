import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { test } from 'tap'
import type { Test } from 'tap'
import { WebSocket, WebSocketServer } from 'ws'
import { MIB, countDescriptors, createHttp1Client, createHttp2Client } from '../support/endurance.ts'
import { endOf, holdingsOf, startEndurance } from '../support/endurance.ts'
import type { Client, EnduranceWorld } from '../support/endurance.ts'
import { eventually } from '../support/wire.ts'

const TIMES = 1_000
const WARM_UP = 50
const GOAL_MS = 100
/** In all, not for each: a call that left 2 KiB behind would be noticed. */
const MOST_LEFT_MIB = 8
const UPLOAD_BYTES = 1_048_576

/** A call as the upstream sees it. */
interface Arrival {
  readonly end: Promise<number>
  /** Resolves when the first bytes of a body have come. */
  readonly body: Promise<unknown>
}

/** Comes as far as a client of its kind should, and returns how it leaves. */
type Way = (arrival: Promise<Arrival>) => Promise<() => void>

/** Serves what the ways need; `next` waits for the next call. */
function serve(t: Test, { upstream }: EnduranceWorld): () => Promise<Arrival> {
  let coming = Promise.withResolvers<Arrival>()
  upstream.server.on('request', (request, response) =>
    coming.resolve({ end: endOf(response), body: once(request, 'data') }),
  )
  upstream.handle('*', '/v1/never', () => undefined)
  upstream.handle('*', '/v1/head', (_request, response) => response.flushHeaders())
  upstream.handle('*', '/v1/stream', (_request, response) => void response.write('data: first\n\n'))
  const sockets = new WebSocketServer({ noServer: true })
  t.teardown(() => sockets.close())
  upstream.server.on('upgrade', (request: IncomingMessage, connection: Socket, head: Buffer) => {
    connection.on('error', () => undefined)
    coming.resolve({ end: endOf(connection), body: Promise.resolve() })
    sockets.handleUpgrade(request, connection, head, (socket) => socket.on('error', () => undefined).send('first'))
  })
  return () => {
    coming = Promise.withResolvers()
    return coming.promise
  }
}

function waysOf(client: Client): Record<string, Way> {
  return {
    async 'before the answer’s head'(arrival) {
      const { leave } = client('GET', '/v1/never')
      await arrival
      return leave
    },
    async 'after it'() {
      const { answer, leave } = client('GET', '/v1/head')
      await answer()
      return leave
    },
    async 'in a stream'() {
      const { answer, leave } = client('GET', '/v1/stream')
      await once(await answer(), 'data')
      return leave
    },
    async 'in an upload'(arrival) {
      const { body, leave } = client('POST', '/v1/never', UPLOAD_BYTES)
      body.write(Buffer.alloc(UPLOAD_BYTES / 4))
      await (
        await arrival
      ).body
      return leave
    },
  }
}

function socketWay({ server, token, ca }: EnduranceWorld): Way {
  return async () => {
    const url = `${server.address.replace('http', 'ws')}/v1/realtime`
    const socket = new WebSocket(url, { ca, headers: { authorization: `Bearer ${token}` } })
    socket.on('error', () => undefined)
    await once(socket, 'message')
    return () => socket.terminate()
  }
}

const doors: Record<string, (t: Test) => Promise<{ world: EnduranceWorld; ways: Record<string, Way> }>> = {
  async 'plain HTTP'(t) {
    const world = await startEndurance(t, 'off', true)
    return { world, ways: { ...waysOf(createHttp1Client(world)), 'in a WebSocket': socketWay(world) } }
  },
  async TLS(t) {
    const world = await startEndurance(t, 'local', true)
    return { world, ways: { ...waysOf(createHttp1Client(world)), 'in a WebSocket': socketWay(world) } }
  },
  async 'HTTP/2'(t) {
    const world = await startEndurance(t, 'local', true)
    return { world, ways: waysOf(createHttp2Client(t, world)) }
  },
}

for (const [door, open] of Object.entries(doors)) {
  test(`a client that leaves over ${door} ends the upstream call within 100 ms, 1,000 times in a row without a leaked socket, timer or file descriptor`, async (t) => {
    const { world, ways } = await open(t)
    const { server, upstream } = world
    const next = serve(t, world)

    async function repeat(way: Way, times: number): Promise<number[]> {
      const tookMs: number[] = []
      for (let round = 0; round < times; round += 1) {
        const arrival = next()
        const leave = await way(arrival)
        const { end } = await arrival
        const leftMs = performance.now()
        leave()
        tookMs.push((await end) - leftMs)
      }
      upstream.clear()
      return tookMs.toSorted((one, other) => one - other)
    }

    for (const way of Object.values(ways)) await repeat(way, WARM_UP)
    // Those that clients left early have taken their connections with them; others wait for the next call.
    await eventually('no connection to the upstream', () => {
      upstream.server.closeAllConnections()
      return upstream.openConnections() === 0
    })
    await eventually('the end of idle ones there', () => countDescriptors(server.pid) < 40)
    const descriptors = countDescriptors(server.pid)
    let before = await holdingsOf(server)
    // Each collection throws more of what the start has left away.
    for (let turn = 0; turn < 20; turn += 1) before = await holdingsOf(server)
    for (const [name, way] of Object.entries(ways)) {
      const tookMs = await repeat(way, TIMES)
      const [median = Infinity, second = Infinity, longest = Infinity] = [TIMES / 2, -2, -1].map((at) => tookMs.at(at))
      const figures = `${door}, ${name}: median ${median.toFixed(1)} ms, longest of ${TIMES} ${longest.toFixed(1)} ms`
      // One may meet a pause of the machine.
      t.ok(second < GOAL_MS && longest < 10 * GOAL_MS, figures)
      t.comment(figures)
    }
    await eventually('no connection to the upstream', () => upstream.openConnections() === 0)
    await eventually('no descriptor more', () => countDescriptors(server.pid) <= descriptors)
    let now = await holdingsOf(server)
    const leftMib = () => (now.bytes - before.bytes) / MIB
    const isLeft = () => now.kept.length > before.kept.length || leftMib() >= MOST_LEFT_MIB
    for (let turn = 0; isLeft() && turn < 100; turn += 1) now = await holdingsOf(server)
    t.ok(now.kept.length <= before.kept.length, `nothing more keeps the process: ${now.kept.join(' ').slice(-1_000)}`)
    t.ok(leftMib() < MOST_LEFT_MIB, `${leftMib().toFixed(1)} MiB are left behind`)
    t.comment(`${door}: ${descriptors} descriptors, ${leftMib().toFixed(1)} MiB left behind`)
  })
}
