import { createHash } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { text } from 'node:stream/consumers'
import { test } from 'tap'
import type { Test } from 'tap'
import { MIB, createHttp1Client, createHttp2Client, pieces, startEndurance, watchMemory } from '../support/endurance.ts'
import type { Client, EnduranceWorld } from '../support/endurance.ts'
import { settled } from '../support/sockets.ts'
import { eventually } from '../support/wire.ts'

const BYTES = 2_048 * MIB
/** Since SOAKP was idle. */
const MOST_GROWTH_MIB = 64

const whole = createHash('sha256')
for (const piece of pieces(BYTES)) whole.update(piece)
const digest = whole.digest('hex')

const doors: Record<string, (t: Test) => Promise<{ world: EnduranceWorld; client: Client }>> = {
  async 'plain HTTP'(t) {
    const world = await startEndurance(t, 'off')
    return { world, client: createHttp1Client(world) }
  },
  async TLS(t) {
    const world = await startEndurance(t, 'local')
    return { world, client: createHttp1Client(world) }
  },
  async 'HTTP/2'(t) {
    const world = await startEndurance(t, 'local')
    return { world, client: createHttp2Client(t, world) }
  },
}

async function upload(client: Client, bytes: number): Promise<void> {
  const call = client('POST', '/v1/upload', bytes)
  Readable.from(pieces(bytes)).pipe(call.body)
  await text(await call.answer())
}

async function download(client: Client, bytes: number): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of await client('GET', `/v1/download?${bytes}`).answer()) hash.update(chunk as Buffer)
  return hash.digest('hex')
}

function take(request: IncomingMessage, response: ServerResponse): void {
  request.resume().once('end', () => response.end('ok'))
}

function give({ url }: IncomingMessage, response: ServerResponse): void {
  const bytes = Number(url?.split('?')[1])
  response.writeHead(200, { 'content-length': bytes })
  Readable.from(pieces(bytes)).pipe(response)
}

for (const [door, open] of Object.entries(doors)) {
  test(`upload of 2 GiB and download of 2 GiB over ${door}, each with less than 64 MiB of memory growth`, async (t) => {
    const { world, client } = await open(t)
    const { server, upstream } = world
    upstream.handle('POST', '/v1/upload', take)
    upstream.handle('GET', '/v1/download', give)
    const growth = watchMemory(server.pid)
    const ways = {
      upload: async () => (await upload(client, BYTES), upstream.requests.at(-1)?.bodySha256),
      download: () => download(client, BYTES),
    }
    for (const [name, way] of Object.entries(ways)) {
      const sinceMs = performance.now()
      t.equal(await way(), digest, `${name}: every byte arrived`)
      const seconds = (performance.now() - sinceMs) / 1_000
      const figures = `${door}, ${name}: ${growth().toFixed(1)} MiB more, ${(BYTES / MIB / seconds).toFixed(0)} MiB/s`
      t.ok(growth() < MOST_GROWTH_MIB, figures)
      t.comment(figures)
    }
  })

  test(`over ${door} a reader that stops, on either side, stops the sender on the other`, async (t) => {
    const { world, client } = await open(t)
    const { server, upstream } = world
    let given = 0
    let reader: IncomingMessage | undefined
    const count = function* () {
      for (const piece of pieces(BYTES)) {
        given += piece.length
        yield piece
      }
    }
    upstream.handle('GET', '/v1/slow', (_request, response) => void Readable.from(count()).pipe(response))
    upstream.handle('POST', '/v1/slow', (request) => void (reader = request.pause()))
    const growth = watchMemory(server.pid)

    const reading = client('GET', '/v1/slow')
    const answer = await reading.answer()
    answer.pause()
    const stoodAt = await settled(() => given)
    t.ok(stoodAt < MOST_GROWTH_MIB * MIB, `the upstream stopped after ${(stoodAt / MIB).toFixed(1)} MiB`)
    answer.resume()
    await eventually('it goes on', () => given > 2 * stoodAt)
    reading.leave()
    await eventually('its end', () => upstream.requests[0]?.aborted === true)

    given = 0
    const writing = client('POST', '/v1/slow', BYTES)
    Readable.from(count()).pipe(writing.body)
    await eventually('the upload', () => reader !== undefined)
    const sentBefore = await settled(() => given)
    t.ok(sentBefore < MOST_GROWTH_MIB * MIB, `the client stopped after ${(sentBefore / MIB).toFixed(1)} MiB`)
    reader?.resume()
    await eventually('it goes on', () => given > 2 * sentBefore)
    writing.leave()
    await eventually('its end', () => upstream.requests.every(({ aborted }) => aborted))
    t.ok(growth() < MOST_GROWTH_MIB, `${growth().toFixed(1)} MiB more memory`)
  })
}
