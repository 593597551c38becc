import { connect as connectHttp2, constants } from 'node:http2'
import { once } from 'node:events'
import { text } from 'node:stream/consumers'
import { test } from 'tap'
import { forgeries } from './support/forgeries.ts'
import { startSoakp } from './support/soakp.ts'
import { HANDSHAKE } from './support/sockets.ts'
import { eventually, exchange, openWire, requestText } from './support/wire.ts'

test('each of at least 150 forged tokens gets the same 401, never a 500, and costs the upstream nothing', async (t) => {
  const soakp = await startSoakp(t, { SOAKP_TLS: 'off' })
  const { id, token } = await soakp.saveKey()
  const revoked = await soakp.mint(id)
  await soakp.manage('DELETE', `/soakp/tokens/${revoked.id}`)
  const other = await soakp.saveKey({ key: 'sk-of-another-upstream-key' })
  const { key } = (await soakp.app.unsealed.secrets.find('token-signing/1')) as { key: string }
  const ids = { revoked: revoked.id, foreign: other.tokenId, foreignKey: other.id }
  const { control, forged } = forgeries({ token, signingKey: Buffer.from(key, 'base64url'), ids })
  t.ok(forged.size >= 150, `${forged.size} forgeries`)
  const wire = await openWire(t, soakp)

  async function ask(bearer: string, lines: readonly string[] = []): Promise<string> {
    const before = wire.text().length
    wire.write(requestText(['GET /v1/models HTTP/1.1', ...lines, `Authorization: Bearer ${bearer}`]))
    await eventually('an answer', () => wire.end !== undefined || /\r\n\r\n\{.*\}$/s.test(wire.text().slice(before)))
    return wire.text().slice(before)
  }

  const shapes = new Map<string, string[]>()
  // What ends a header line is no token any more, white space around it no part of it, and 1 MB is no header (431).
  const isSendable = (each: string) => !/[\r\n\0]/.test(each) && each === each.trim() && each.length < 10_000
  const sent = [...forged].filter(([, each]) => isSendable(each))
  t.ok(sent.length >= 150, `${sent.length} of them fit into a header`)
  for (const [title, each] of sent) {
    const shape = shapeOf(await ask(Buffer.from(each).toString('latin1')))
    shapes.set(shape, [...(shapes.get(shape) ?? []), title])
  }
  t.equal(shapes.size, 1, JSON.stringify([...shapes].map(([shape, titles]) => [shape, titles.slice(0, 5)])))
  t.match([...shapes.keys()][0], /^HTTP\/1\.1 401 .*SOAKP_TOKEN_REFUSED/s)

  const socket = await exchange(t, soakp, [
    'GET /v1/realtime HTTP/1.1',
    ...HANDSHAKE,
    `Authorization: Bearer x${token}`,
  ])
  t.match(socket, /^HTTP\/1\.1 401 .*SOAKP_TOKEN_REFUSED/s, 'a WebSocket, too')
  t.equal(soakp.upstream.requests.length, 0)
  t.equal(soakp.upstream.openConnections(), 0, 'not even a connection')
  t.match(await ask(control), /^HTTP\/1\.1 200 /, 'the forger has the right key')
})

/** An answer without what is a request's own: its time and its id. */
function shapeOf(answer: string): string {
  return answer.replaceAll(/req_\w+/g, 'req_').replaceAll(/\r\nDate: [^\r]*/gi, '')
}

test('over HTTP/2 Expect: 100-continue is answered after authentication, and only then', async (t) => {
  const soakp = await startSoakp(t)
  const { token } = await soakp.saveKey()
  soakp.upstream.handle('POST', '/v1/x', async (_request, response, readBody) => void response.end(await readBody()))
  const session = connectHttp2(soakp.address, { ca: soakp.authority ?? '' })
  t.teardown(() => session.destroy())

  async function ask(authorization: string) {
    const headers = { ':method': 'POST', ':path': '/v1/x', expect: '100-continue', 'content-length': 4 }
    const stream = session.request({ ...headers, ...(authorization !== '' && { authorization }) })
    const said: unknown[] = []
    stream.on('headers', (block) => said.push(block[':status']))
    stream.on('continue', () => stream.end('body'))
    const [answer] = (await once(stream, 'response')) as [Record<string, unknown>]
    const body = await text(stream)
    stream.close(constants.NGHTTP2_CANCEL)
    return { said, status: answer[':status'], body }
  }

  t.match(await ask(`Bearer ${token}`), { said: [100], status: 200, body: 'body' })
  for (const authorization of ['', 'Bearer none', `Bearer x${token}`]) {
    t.match(await ask(authorization), { said: [], status: 401, body: /SOAKP_TOKEN/ }, authorization.slice(0, 11))
  }
  t.equal(soakp.upstream.requests.length, 1)
})
