import { once } from 'node:events'
import type { ServerResponse } from 'node:http'
import { connect } from 'node:net'
import type { Writable } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { test } from 'tap'
import { startSoakp } from './support/soakp.ts'
import { eventually, openWire, send } from './support/wire.ts'

const MIB = 1_048_576

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

test('a slow side slows the other down, and nothing is kept', async (t) => {
  const soakp = await startSoakp(t)
  const { token } = await soakp.saveKey()
  const { upstream } = soakp
  const total = 160 * MIB
  const chunk = Buffer.alloc(MIB / 16, 'x')
  let sent = 0
  let keptBytes = 0

  /** Sends the body as fast as the other side takes it; late in it, looks what is kept of what went before. */
  async function pour(target: Writable): Promise<void> {
    for (sent = 0; sent < total; sent += chunk.length) {
      if (!target.write(chunk)) await once(target, 'drain')
      if (sent !== total * 0.75) continue
      for (let round = 0; round < 3; round += 1) await setImmediate(collectGarbage())
      keptBytes = process.memoryUsage().arrayBuffers
    }
  }

  async function standsStill(): Promise<boolean> {
    let last = -1
    let since = Date.now()
    await eventually('a standstill', () => {
      if (sent !== last) since = Date.now()
      last = sent
      return sent > 0 && Date.now() - since > 300
    })
    return sent < total / 2
  }

  await t.test('a client that stops reading stops the upstream', async (step) => {
    upstream.handle('GET', '/v1/big', async (_request, response) => {
      response.writeHead(200, { 'content-length': total })
      await pour(response)
      response.end()
    })
    const wire = await send(step, soakp, token, ['GET /v1/big HTTP/1.1', 'Connection: close'])
    await wire.until(/\r\n\r\n/)
    let received = wire.text().length
    wire.socket.removeAllListeners('data').pause()
    step.ok(await standsStill())
    wire.socket.on('data', (bytes: Buffer) => (received += bytes.length)).resume()
    await eventually('the rest', () => wire.end !== undefined, 30_000)
    step.ok(received > total, 'and then all of it comes')
    step.ok(keptBytes > 0 && keptBytes < total / 4)
  })

  await t.test('an upstream that stops reading stops the client', async (step) => {
    const reading = Promise.withResolvers<void>()
    upstream.handle('POST', '/v1/big', async (request, response) => {
      await reading.promise
      let bytes = 0
      for await (const each of request) bytes += (each as Buffer).length
      response.end(`${bytes} bytes`)
    })
    const wire = await send(step, soakp, token, [
      'POST /v1/big HTTP/1.1',
      `Content-Length: ${total}`,
      'Connection: close',
    ])
    const poured = pour(wire.socket)
    step.ok(await standsStill())
    reading.resolve()
    await poured
    step.match(await wire.over(), `${total} bytes`)
    step.ok(keptBytes > 0 && keptBytes < total / 4)
  })
})

test('what the upstream has sent arrives before it sends more', async (t) => {
  const soakp = await startSoakp(t)
  const { token } = await soakp.saveKey()
  const stream = { 'content-type': 'text/event-stream' }
  const events = ['data: one\n\n', 'data: two\n\n', 'data: three\n\n']
  const length = { 'content-length': events.join('').length }
  for (const [status, headers] of [
    [200, stream],
    [429, stream],
    [200, length],
  ] as const) {
    let response: ServerResponse | undefined
    soakp.upstream.handle('POST', '/v1/responses', (_request, theirs) => {
      response = theirs
      theirs.writeHead(status, headers).flushHeaders()
    })
    const wire = await send(t, soakp, token, ['POST /v1/responses HTTP/1.1', 'Content-Length: 2'], '{}')
    t.match(await wire.until(/\r\n\r\n$/), `HTTP/1.1 ${status} `, 'the head')
    for (const event of events) {
      response?.write(event)
      t.ok(await wire.until(new RegExp(`${event}(?:\r\n)?$`)), event)
    }
    response?.end()
  }
})

test('a stop lets running calls end, and ends them when the time is over', async (t) => {
  await t.test('what ends in time is whole', async (step) => {
    const soakp = await startSoakp(step, { SOAKP_DRAIN_SECONDS: '20' })
    const { token } = await soakp.saveKey()
    const finish = Promise.withResolvers<void>()
    soakp.upstream.handle('GET', '/v1/x', async (_request, response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write('data: first\n\n')
      await finish.promise
      response.end('data: last\n\n')
    })
    const wire = await send(step, soakp, token, ['GET /v1/x HTTP/1.1'])
    const idle = await openWire(step, soakp)
    await wire.until(/first/)
    const closed = soakp.app.close()
    await idle.over()
    finish.resolve()
    step.match(await wire.over(), /last\n\n\r\n0\r\n\r\n$/)
    await closed
  })

  await t.test('what does not is cut, here and at the upstream', async (step) => {
    const soakp = await startSoakp(step, { SOAKP_DRAIN_SECONDS: '1' })
    const { token } = await soakp.saveKey()
    soakp.upstream.handle('GET', '/v1/x', (_request, response) => void response.write('first'))
    const wire = await send(step, soakp, token, ['GET /v1/x HTTP/1.1'])
    await wire.until(/first/)
    const silent = connect({ port: soakp.port, host: '127.0.0.1' })
    step.teardown(() => silent.destroy())
    await once(silent, 'connect')
    await soakp.app.close()
    step.notMatch(await wire.over(), /0\r\n\r\n$/)
    await eventually('the end at the upstream', () => soakp.upstream.requests[0]?.aborted === true)
  })
})
