import { once } from 'node:events'
import { connect, constants } from 'node:http2'
import { test } from 'tap'
import { PLAIN, basic } from './support/refusals.ts'
import { ADMIN, startSoakp } from './support/soakp.ts'
import { eventually, openWire, requestText } from './support/wire.ts'

const BODY = JSON.stringify({ key: 'sk-key-of-a-slow-body' })
const ways = {
  'POST /soakp/keys': `Bearer ${ADMIN}`,
  'POST /jwt/generate': basic('admin', ADMIN).authorization,
}

for (const [call, authorization] of Object.entries(ways)) {
  const lines = [
    `${call} HTTP/1.1`,
    `Authorization: ${authorization}`,
    'Content-Type: application/json',
    `Content-Length: ${BODY.length}`,
  ]

  test(`${call}: a body that does not come whole in time is refused, and saves nothing when it comes later`, async (t) => {
    const soakp = await startSoakp(t, PLAIN, { limits: { clientIdleMs: 300 } })
    const wire = await openWire(t, soakp)
    wire.write(requestText(lines, BODY.slice(0, 10)))
    t.match(await wire.until(/\}\}$/), /^HTTP\/1\.1 408 .*"code":"SOAKP_REQUEST_TIMEOUT"/s)
    wire.write(BODY.slice(10))
    await wire.over()
    t.same((await soakp.manage('GET', '/soakp/keys')).body.data, [])
  })

  test(`${call}: a client that leaves within its body leaves one line in the log`, async (t) => {
    const logs: string[] = []
    const soakp = await startSoakp(t, { ...PLAIN, SOAKP_LOG_LEVEL: 'info' }, { logs })
    const wire = await openWire(t, soakp)
    wire.write(requestText(lines, BODY.slice(0, 10)))
    await eventually('the request', () => wire.socket.bytesWritten > 100)
    wire.socket.destroy()
    const ended = () => logs.filter((line) => line.includes('"request ended"'))
    await eventually('its line in the log', () => ended().length > 0)
    t.match(ended()[0], /"end":"client gone"/)
    t.same((await soakp.manage('GET', '/soakp/keys')).body.data, [])
    t.equal(ended().length, 2, 'one, and one of the list')
  })
}

test('over HTTP/2, too, a client that leaves within its body leaves one line in the log', async (t) => {
  const logs: string[] = []
  const soakp = await startSoakp(t, { SOAKP_LOG_LEVEL: 'info' }, { logs })
  const session = connect(soakp.address, { ca: soakp.authority })
  t.teardown(() => session.destroy())
  const stream = session.request({
    ':method': 'POST',
    ':path': '/soakp/keys',
    authorization: `Bearer ${ADMIN}`,
    'content-type': 'application/json',
    'content-length': BODY.length,
  })
  stream.on('error', () => undefined).write(BODY.slice(0, 10))
  await once(session, 'remoteSettings')
  await new Promise<void>((resolve) => session.ping(() => resolve()))
  stream.close(constants.NGHTTP2_CANCEL)
  const ended = () => logs.filter((line) => line.includes('"request ended"'))
  await eventually('its line in the log', () => ended().length > 0)
  t.match(ended()[0], /"end":"client gone"/)
  t.same((await soakp.manage('GET', '/soakp/keys')).body.data, [])
  t.equal(ended().length, 2, 'one, and one of the list')
})

test('a body that comes in pieces and in time is taken', async (t) => {
  const soakp = await startSoakp(t, PLAIN)
  const wire = await openWire(t, soakp)
  const head = ['POST /soakp/keys HTTP/1.1', `Authorization: Bearer ${ADMIN}`, 'Content-Type: application/json']
  wire.write(requestText([...head, `Content-Length: ${BODY.length}`], BODY.slice(0, 10)))
  wire.write(BODY.slice(10))
  t.match(await wire.until(/\}\}?$/), /^HTTP\/1\.1 201 /)
})

test('a request that was refused within its body left a warning in the log that it was answered twice', async (t) => {
  const logs: string[] = []
  const soakp = await startSoakp(t, { ...PLAIN, SOAKP_LOG_LEVEL: 'warn' }, { logs, limits: { clientIdleMs: 300 } })
  const wire = await openWire(t, soakp)
  const head = ['POST /soakp/keys HTTP/1.1', `Authorization: Bearer ${ADMIN}`, 'Content-Type: text/css']
  wire.write(requestText([...head, 'Content-Length: 99'], 'body'))
  t.match(await wire.over(), /^HTTP\/1\.1 415 .*\}\}$/s)
  t.same(logs, [])
})
