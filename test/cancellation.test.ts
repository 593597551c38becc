import type { IncomingMessage, ServerResponse } from 'node:http'
import { test } from 'tap'
import { startSoakp } from './support/soakp.ts'
import { eventually, openWire, requestText, send } from './support/wire.ts'
import type { Wire } from './support/wire.ts'

/** The goals are 100 ms for a client that leaves and 250 ms for a revocation. */
const CANCEL_MS = 1_000
const REVOKE_MS = 2_500
const MIB = 1_048_576

function never(): void {}

/** Sends the head and one event of a stream and leaves it open. */
function stream(_request: IncomingMessage, response: ServerResponse): void {
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  response.write('data: first\n\n')
}

test('a client that leaves ends the upstream call', async (t) => {
  const soakp = await startSoakp(t, { SOAKP_TOKEN_REQUESTS_PER_MINUTE: '5000' })
  const { token } = await soakp.saveKey()
  const { upstream, app } = soakp
  const { liveCalls } = app.unsealed
  upstream.handle('*', '/v1/never', never)
  upstream.handle('*', '/v1/stream', stream)
  upstream.handle('*', '/v1/upload', (request) => void request.resume())
  const upload = ['POST /v1/upload HTTP/1.1', `Content-Length: ${MIB}`]

  async function leave(lines: readonly string[], body: string, isThere: () => boolean, wait = /^/): Promise<void> {
    upstream.clear()
    const wire = await send(t, soakp, token, lines, body)
    await wire.until(wait)
    await eventually('the upstream call', isThere)
    wire.socket.destroy()
    await eventually('the end of the call', () => liveCalls.size === 0, CANCEL_MS)
    await eventually('the end at the upstream', () => upstream.requests.every(({ aborted }) => aborted), CANCEL_MS)
  }

  const isCalled = () => upstream.requests.length === 1
  const isUploading = () => upstream.requests[0]?.bodyBytes === 100_000
  const ways: Record<string, () => Promise<void>> = {
    'before the answer': () => leave(['GET /v1/never HTTP/1.1'], '', isCalled),
    'in a stream': () => leave(['GET /v1/stream HTTP/1.1'], '', isCalled, /first/),
    'in an upload': () => leave(upload, 'x'.repeat(100_000), isUploading),
    'in an upload in chunks': () =>
      leave(
        ['POST /v1/upload HTTP/1.1', 'Transfer-Encoding: chunked'],
        `186a0\r\n${'x'.repeat(100_000)}\r\n`,
        isUploading,
      ),
    'within a small body': () =>
      leave(['POST /v1/never HTTP/1.1', 'Content-Length: 9'], 'x', () => liveCalls.size === 1),
  }
  for (const [title, way] of Object.entries(ways)) await t.test(title, way)
  t.equal(upstream.requests.length, 0, 'what was still being read never reached the upstream')

  await t.test('two hundred times, and nothing is left behind', async (step) => {
    const countResources = () => process.getActiveResourcesInfo().length
    const before = countResources()
    for (let round = 0; round < 40; round += 1) for (const way of Object.values(ways)) await way()
    await eventually('the end of what was opened', () => countResources() <= before + 4)
    step.equal(liveCalls.size, 0)
    step.ok(upstream.openConnections() < 5)
  })

  await t.test('pipelined calls as well', async () => {
    upstream.clear()
    const wire = await send(t, soakp, token, ['GET /v1/never HTTP/1.1'])
    const body = requestText(['POST /v1/never HTTP/1.1', `Authorization: Bearer ${token}`, 'Content-Length: 4'], 'body')
    wire.write(body.repeat(20))
    await eventually('all calls', () => upstream.requests.length === 21)
    wire.socket.destroy()
    await eventually('the end of the calls', () => liveCalls.size === 0, CANCEL_MS)
    await eventually('the end at the upstream', () => upstream.requests.every(({ aborted }) => aborted), CANCEL_MS)
  })
})

test('a call whose body turns out to be malformed ends, even if the client keeps its side open', async (t) => {
  const soakp = await startSoakp(t)
  const { upstream } = soakp
  const { token } = await soakp.saveKey()
  upstream.handle('POST', '/v1/upload', (request) => void request.resume())
  const wire = await openWire(t, soakp, true)
  const lines = ['POST /v1/upload HTTP/1.1', `Authorization: Bearer ${token}`, 'Transfer-Encoding: chunked']
  wire.write(requestText(lines, '4\r\nbody\r\n'))
  await eventually('the upstream call', () => upstream.requests[0]?.bodyBytes === 4)
  wire.write('no chunk\r\n')
  t.match(await wire.until(/\}$/), /^HTTP\/1\.1 400 .*SOAKP_REQUEST_MALFORMED/s)
  await eventually('the end at the upstream', () => upstream.requests[0]?.aborted === true, CANCEL_MS)
})

test('an answer that has begun is cut, and not added to, when what follows its request is malformed', async (t) => {
  const soakp = await startSoakp(t)
  const { token } = await soakp.saveKey()
  soakp.upstream.handle('GET', '/v1/stream', stream)
  const wire = await send(t, soakp, token, ['GET /v1/stream HTTP/1.1'])
  await wire.until(/first/)
  wire.write('no request\r\n\r\n')
  t.match(await wire.over(), /data: first\n\n\r\n$/)
})

test('a call that waits for a connection to the upstream can leave and be revoked', async (t) => {
  const soakp = await startSoakp(t, { SOAKP_UPSTREAM_CONNECTIONS: '1' })
  const { upstream, app } = soakp
  const { liveCalls } = app.unsealed
  const { id, token } = await soakp.saveKey()
  const other = await soakp.mint(id)
  let first: ServerResponse | undefined
  upstream.handle('GET', '/v1/first', (_request, response) => {
    first = response
    response.write('first')
  })
  upstream.handle('GET', '/v1/second', (_request, response) => void response.end('second'))
  const running = await send(t, soakp, token, ['GET /v1/first HTTP/1.1'])
  await running.until(/first/)
  const leaving = await send(t, soakp, token, ['GET /v1/second HTTP/1.1'])
  const revoked = await send(t, soakp, other.token, ['GET /v1/second HTTP/1.1'])
  const waiting = await send(t, soakp, token, ['GET /v1/second HTTP/1.1'])
  await eventually('all four', () => liveCalls.size === 4)
  leaving.socket.destroy()
  await soakp.manage('DELETE', `/soakp/tokens/${other.id}`)
  t.match(await revoked.until(/\}$/), /SOAKP_TOKEN_REFUSED/)
  await eventually('the end of two', () => liveCalls.size === 2, CANCEL_MS)
  first?.end()
  await waiting.until(/second/)
  t.equal(upstream.requests.length, 2, 'neither reached the upstream')
})

test('a revocation ends what is running', async (t) => {
  const soakp = await startSoakp(t)
  const { id: keyId, token, tokenId } = await soakp.saveKey()
  const { upstream } = soakp
  const { liveCalls } = soakp.app.unsealed
  upstream.handle('*', '/v1/never', never)
  upstream.handle('*', '/v1/stream', stream)

  async function open(lines: readonly string[], bearer: string, body = ''): Promise<Wire> {
    const before = liveCalls.size
    const wire = await send(t, soakp, bearer, lines, body)
    await eventually('the call', () => liveCalls.size > before)
    return wire
  }

  await t.test('a stream is cut, here and at the upstream', async (step) => {
    const wire = await open(['GET /v1/stream HTTP/1.1'], token)
    await wire.until(/first/)
    const other = await open(['GET /v1/stream HTTP/1.1'], (await soakp.mint(keyId)).token)
    await soakp.manage('DELETE', `/soakp/tokens/${tokenId}`)
    await eventually('the end of the stream', () => wire.end !== undefined, REVOKE_MS)
    await eventually('the end at the upstream', () => upstream.requests[0]?.aborted === true, REVOKE_MS)
    step.notMatch(wire.text(), /0\r\n\r\n$/, 'it does not look whole')
    step.equal(other.end, undefined, "another token's stream goes on")
  })

  await t.test('a call without an answer gets a clean error', async (step) => {
    const calls: Record<string, [readonly string[], string?]> = {
      'at the upstream': [['GET /v1/never HTTP/1.1']],
      'within a small body': [['POST /v1/never HTTP/1.1', 'Content-Length: 9'], 'x'],
      'within a large body': [['POST /v1/never HTTP/1.1', 'Content-Length: 900000'], 'x'],
    }
    for (const [title, [lines, body]] of Object.entries(calls)) {
      const { id, token: bearer } = await soakp.mint(keyId)
      const wire = await open(lines, bearer, body)
      await soakp.manage('DELETE', `/soakp/tokens/${id}`)
      step.match(await wire.until(/\}$/), /^HTTP\/1\.1 401 .*SOAKP_TOKEN_REFUSED/s, title)
    }
  })

  await t.test('deleting the key ends the calls of all its tokens', async () => {
    const wires = [await open(['GET /v1/stream HTTP/1.1'], (await soakp.mint(keyId)).token)]
    wires.push(await open(['GET /v1/never HTTP/1.1'], (await soakp.mint(keyId)).token))
    await soakp.manage('DELETE', `/soakp/keys/${keyId}`)
    await wires[0]?.over()
    await wires[1]?.until(/SOAKP_TOKEN_REFUSED/)
    await eventually('the end of all calls', () => liveCalls.size === 0, REVOKE_MS)
    await eventually('the end at the upstream', () => upstream.requests.every(({ aborted }) => aborted), REVOKE_MS)
  })
})
