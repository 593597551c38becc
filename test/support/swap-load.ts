import { once } from 'node:events'
import { Agent, get } from 'node:https'
import { connect as connectHttp2 } from 'node:http2'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createInterface } from 'node:readline'
import { text } from 'node:stream/consumers'
import { setImmediate } from 'node:timers/promises'
import type { Test } from 'tap'
import { WebSocketServer } from 'ws'
import type { WebSocket } from 'ws'
import { startWithStandIn } from './certificates-stand-in.ts'
import { ca, issue, see } from './certificates.ts'
import { ADMIN } from './soakp.ts'
import { connect, nextMessage } from './sockets.ts'

/** What went on during the swaps, in numbers. */
export interface Load {
  readonly handshakes: number
  readonly requests: number
  readonly streams: number
  readonly events: number
  readonly messages: number
}

/** A SOAKP whose certificate is swapped while clients of every kind use it. */
export interface LoadedSoakp {
  /** Swaps so many times. Returns how long it took from each swap until a new connection found the new certificate. */
  swap(times: number): Promise<number[]>
  /** Ends the load and returns what it was. Rejects when a handshake failed, or anything was dropped or lost. */
  end(): Promise<Load>
}

/** How many certificates take turns. */
const CERTIFICATES = 32

/** Starts a SOAKP with load: HTTP/1.1 on one kept connection, HTTP/2 streams, an event stream, a WebSocket, new handshakes. */
export async function startLoadedSoakp(t: Test): Promise<LoadedSoakp> {
  const names = Array.from({ length: CERTIFICATES }, (_, index) => `certificate${index}`)
  const pairs = await Promise.all(names.map(async (name) => ({ name, pair: await issue(name) })))
  const soakp = await startWithStandIn(t)
  const { upstream, port, certificates } = soakp
  const [first] = pairs
  await certificates.use((first as (typeof pairs)[number]).pair)
  const saved = await soakp.app.inject({
    method: 'POST',
    url: '/soakp/keys',
    headers: { authorization: `Bearer ${ADMIN}` },
    payload: { key: upstream.key },
  })
  const authorization = `Bearer ${saved.json().token.token}`
  const ended = new AbortController()
  const counts = { handshakes: 0, requests: 0, streams: 0, events: 0, messages: 0 }

  /** Repeats until the load ends. */
  async function repeat(count: keyof typeof counts, step: () => Promise<unknown>): Promise<void> {
    while (!ended.signal.aborted) {
      await step()
      counts[count] += 1
      await setImmediate()
    }
  }

  upstream.handle('GET', '/v1/short', (_request, response) => void response.end('short'))

  async function keepAlive(): Promise<void> {
    const agent = new Agent({ keepAlive: true, maxSockets: 1, ca })
    t.teardown(() => agent.destroy())
    let before: unknown
    await repeat('requests', async () => {
      const request = get({ agent, host: 'localhost', port, path: '/v1/short', headers: { authorization } })
      const [response] = (await once(request, 'response')) as [IncomingMessage]
      if (before !== undefined && before !== request.socket) throw new Error('the kept connection was dropped')
      before = request.socket
      if ((await text(response)) !== 'short') throw new Error(`answered ${response.statusCode}`)
    })
  }

  async function http2(): Promise<void> {
    const client = connectHttp2(`https://localhost:${port}`, { ca })
    t.teardown(() => client.destroy())
    await repeat('streams', async () => {
      const body = await text(client.request({ ':path': '/v1/short', authorization }))
      if (body !== 'short') throw new Error(`answered ${body}`)
    })
  }

  async function events(): Promise<void> {
    upstream.handle('GET', '/v1/events', (_request, response) => void writeEvents(response))
    const request = get({ host: 'localhost', port, path: '/v1/events', ca, agent: false, headers: { authorization } })
    const [response] = (await once(request, 'response')) as [IncomingMessage]
    for await (const line of createInterface(response)) {
      if (line === '') counts.events += 1
      else if (line !== `data: ${counts.events}`) throw new Error(`an event was lost before ${line}`)
    }
    if (!ended.signal.aborted) throw new Error('the event stream was cut')
  }

  async function writeEvents(response: ServerResponse): Promise<void> {
    response.writeHead(200, { 'content-type': 'text/event-stream' })
    for (let index = 0; !ended.signal.aborted; index += 1) {
      if (!response.write(`data: ${index}\n\n`)) await once(response, 'drain')
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    response.end()
  }

  async function webSocket(): Promise<void> {
    const far = new WebSocketServer({ noServer: true })
    upstream.server.removeAllListeners('upgrade')
    upstream.server.on('upgrade', (request, socket, head) => {
      far.handleUpgrade(request, socket, head, (each: WebSocket) => each.on('message', (data) => each.send(data)))
    })
    const socket = await connect(t, `wss://localhost:${port}/v1/realtime`, [], { ca, headers: { authorization } })
    await repeat('messages', async () => {
      const expected = Buffer.from(`message ${counts.messages}`)
      const answer = nextMessage(socket)
      socket.send(expected)
      if (!expected.equals(Buffer.from(await answer))) throw new Error('a message was lost')
    })
    socket.terminate()
  }

  const handshakes = () => repeat('handshakes', () => see(soakp.server))
  const load = [keepAlive(), http2(), events(), webSocket(), handshakes(), handshakes()]
  const failed = Promise.all(load)
  failed.catch(() => undefined)

  let turn = 0

  async function swapOnce(): Promise<number> {
    turn = (turn + 1) % CERTIFICATES
    const { name, pair } = pairs[turn] as (typeof pairs)[number]
    const begun = performance.now()
    await certificates.use(pair)
    const { name: found } = await see(soakp.server)
    if (found !== name) throw new Error(`a new connection found ${found} instead of ${name}`)
    return performance.now() - begun
  }

  return {
    async swap(times) {
      const took: number[] = []
      while (took.length < times) took.push(await Promise.race([swapOnce(), failed.then(() => Infinity)]))
      return took
    },

    async end() {
      ended.abort()
      await failed
      return counts
    },
  }
}
