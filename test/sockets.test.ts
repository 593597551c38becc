import { gzipSync } from 'node:zlib'
import { test } from 'tap'
import type { Test } from 'tap'
import { WebSocket } from 'ws'
import { RAW_KEY, startPassing } from './support/passing.ts'
import type { Passing } from './support/passing.ts'
import { HANDSHAKE, acceptOf, closePayload, dial, frame, settled, switchingText } from './support/sockets.ts'
import type { Refused } from './support/sockets.ts'
import { answerText, eventually, openWire, requestText } from './support/wire.ts'
import type { RawHandler, Wire } from './support/wire.ts'

/** Opens a raw connection and asks for a WebSocket. */
async function ask(t: Test, passing: Passing, line = 'GET /v1/realtime?model=m HTTP/1.1', more: string[] = []) {
  const wire = await openWire(t, passing.soakp)
  wire.write(requestText([line, ...HANDSHAKE, passing.authorization, ...more]))
  return wire
}

/** Asks for a WebSocket that the upstream refuses. */
async function refused(t: Test, { soakp, authorization }: Passing, path = '/v1/realtime'): Promise<Refused> {
  const [, token = ''] = authorization.split('Bearer ')
  const headers = { authorization: `Bearer ${token}` }
  const answer = await dial(t, `ws://localhost:${soakp.port}${path}`, [], { headers })
  if (answer instanceof WebSocket) throw new Error('should be refused')
  return answer
}

function only<Item>([first]: readonly Item[]): Item {
  if (first === undefined) throw new Error('there is none')
  return first
}

const codeOf = ({ body }: Refused) => JSON.parse(body).error.code

test('a client gets its 101 when the upstream has opened, and not before', async (t) => {
  const passing = await startPassing(t)
  const { upstream } = passing
  upstream.answer(() => undefined)
  const client = await ask(t, passing)
  await eventually('the upstream is asked', () => upstream.requests.length === 1)
  const { headers, wire } = only(upstream.requests)
  t.equal(client.text(), '', 'nothing yet')
  const lines = ['X-Request-Id: req_of_the_upstream', 'Set-Cookie: a=b', 'OpenAI-Processing-Ms: 7']
  wire.write(switchingText(headers, lines) + frame('first words'))
  const text = await client.until(/first words$/)
  t.equal(
    text,
    answerText([
      'HTTP/1.1 101 Switching Protocols',
      'Upgrade: websocket',
      'Connection: Upgrade',
      `Sec-WebSocket-Accept: ${acceptOf('dGhlIHNhbXBsZSBub25jZQ==')}`,
      'X-Request-Id: req_of_the_upstream',
      'OpenAI-Processing-Ms: 7',
    ]) + frame('first words'),
    'and what came in the same packet is not lost',
  )
  client.socket.end(frame(closePayload(1000), { opcode: 8, isMasked: true }), 'latin1')
  const isLogged = (line: string) => /"status":101,.*"close_code":1000,"end":"client closed","messages":1/.test(line)
  await eventually('its record', () => passing.logs.some(isLogged))
})

test('what a client sends together with its handshake is not lost', async (t) => {
  const passing = await startPassing(t)
  const { upstream } = passing
  upstream.answer(() => undefined)
  const client = await openWire(t, passing.soakp)
  const early = [frame('with the request', { isMasked: true }), frame('while it waits', { isMasked: true })] as const
  client.write(requestText(['GET /v1/realtime HTTP/1.1', ...HANDSHAKE, passing.authorization]) + early[0])
  await eventually('the upstream is asked', () => upstream.requests.length === 1)
  client.write(early[1])
  const { headers, wire } = only(upstream.requests)
  const socket = collectFrames(wire)
  wire.write(switchingText(headers))
  await client.until(/^HTTP\/1\.1 101 /)
  client.write(frame('after', { isMasked: true }))
  await eventually('three messages', () => socket().length === 3)
  t.strictSame(socket(), ['with the request', 'while it waits', 'after'])
})

test('a client that does not wait for its 101 is read up to a limit, until it has one', async (t) => {
  const passing = await startPassing(t)
  const { upstream } = passing
  upstream.answer(() => undefined)
  const flood = frame(Buffer.alloc(30_000), { isMasked: true })
  for (const [index, frames] of [100, 2_000].entries()) {
    const client = await ask(t, passing)
    await eventually('the upstream is asked', () => upstream.requests.length === index + 1)
    client.write(flood.repeat(frames))
    const { headers, wire } = upstream.requests[index] ?? only([])
    if (frames > 1_000) {
      t.ok(
        (await settled(() => client.socket.writableLength)) > 0,
        'more than the system can hold stays with the client',
      )
      client.socket.destroy()
      continue
    }
    wire.write(switchingText(headers))
    await eventually('all of it', () => wire.socket.bytesRead > flood.length * frames)
  }
})

test('a refusal of the upstream reaches the client as it is', async (t) => {
  const passing = await startPassing(t)
  const json = '{"error":{"message":"no","type":"x","code":"y","param":null}}'
  const lines = ['Content-Type: application/json', 'X-Request-Id: req_up', 'Set-Cookie: a=b', 'Retry-After: 7']
  for (const status of [
    '403 Forbidden',
    '404 Not Found',
    '429 Too Many Requests',
    '500 Oh Dear',
    '302 Found',
    '200 OK',
  ]) {
    const answer = answerText([`HTTP/1.1 ${status}`, ...lines, `Content-Length: ${json.length}`], json)
    passing.upstream.answer(({ wire }) => wire.write(answer))
    const got = await refused(t, passing)
    t.equal(`${got.status}`, status.slice(0, 3))
    t.equal(got.body, json, status)
    t.match(got.headers, { 'retry-after': '7', 'x-request-id': 'req_up', 'content-type': 'application/json' })
    t.notOk(got.headers['set-cookie'])
    t.equal(got.headers.connection, 'close')
  }
  const zipped = gzipSync(json).toString('latin1')
  const chunked = answerText(
    ['HTTP/1.1 403 No', 'Content-Encoding: gzip', 'Transfer-Encoding: chunked'],
    `${zipped.length.toString(16)}\r\n${zipped}\r\n0\r\n\r\n`,
  )
  passing.upstream.answer(({ wire }) => wire.write(chunked))
  const got = await refused(t, passing)
  t.equal(got.headers['content-encoding'], 'gzip', 'encoded and chunked')
  t.equal(got.headers['content-length'], String(zipped.length))
  await eventually('no upstream connection is kept', () => passing.upstream.openConnections() === 0)
  t.equal(passing.soakp.app.unsealed.liveCalls.size, 0)
})

test('an upstream that cannot be used is a refusal in words', async (t) => {
  const passing = await startPassing(t, { SOAKP_UPSTREAM_CONNECT_SECONDS: '1' })
  const key = `"${RAW_KEY}"`
  const long = 'x'.repeat(2_000_000)
  const cases: readonly [name: string, RawHandler, status: number, code: string][] = [
    ['401', ({ wire }) => wire.write(answerText(['HTTP/1.1 401 No', 'Content-Length: 0'])), 502, 'REFUSED_KEY'],
    ['the key', ({ wire }) => wire.write(withBody(403, key)), 502, 'LEAK'],
    ['the key in gzip', ({ wire }) => wire.write(withBody(403, gzipSync(key), 'Content-Encoding: gzip')), 502, 'LEAK'],
    ['the key in a header', ({ wire }) => wire.write(withBody(403, '', `X-Key: ${RAW_KEY}`)), 502, 'LEAK'],
    [
      'the key in the reason',
      ({ wire }) => wire.write(`HTTP/1.1 403 ${RAW_KEY}\r\nContent-Length: 0\r\n\r\n`),
      502,
      'LEAK',
    ],
    [
      'the key in a header of 101',
      ({ wire, headers }) => wire.write(switchingText(headers, [`X-Key: ${RAW_KEY}`])),
      502,
      'LEAK',
    ],
    ['a body without end', ({ wire }) => wire.write(answerText(['HTTP/1.1 403 No'], long)), 502, 'MALFORMED'],
    ['no HTTP', ({ wire }) => wire.write('SMTP ready\r\n\r\n'), 502, 'MALFORMED'],
    ['a drop', ({ wire }) => wire.socket.destroy(), 502, 'UNREACHABLE'],
    ['a drop within the head', ({ wire }) => wire.socket.end('HTTP/1.1 101 Swi'), 502, 'UNREACHABLE'],
    [
      'a drop within a body',
      ({ wire }) => wire.socket.end(withBody(403, '').replace('Length: 0', 'Length: 9')),
      502,
      'UNREACHABLE',
    ],
    ['a wrong accept key', ({ wire }) => wire.write(switchingText([])), 502, 'MALFORMED'],
    [
      'a subprotocol that nobody offered',
      ({ wire, headers }) => wire.write(switchingText(headers, ['Sec-WebSocket-Protocol: mqtt'])),
      502,
      'MALFORMED',
    ],
    [
      'an extension that nobody offered',
      ({ wire, headers }) => wire.write(switchingText(headers, ['Sec-WebSocket-Extensions: permessage-deflate'])),
      502,
      'MALFORMED',
    ],
    ['silence', () => undefined, 504, 'TIMEOUT'],
    [
      'silence within a body',
      ({ wire }) => wire.write(withBody(403, '').replace('Length: 0', 'Length: 9')),
      504,
      'TIMEOUT',
    ],
    [
      'a head that never ends',
      ({ wire }) => {
        const drip = setInterval(() => wire.write(`X-${Date.now()}: 1\r\n`), 50)
        wire.socket.once('close', () => clearInterval(drip))
        wire.write('HTTP/1.1 101 Switching Protocols\r\n')
      },
      504,
      'TIMEOUT',
    ],
  ]
  passing.upstream.answer((request) => cases[Number(/case=(\d+)/.exec(request.line)?.[1])]?.[1](request))
  const check = async ([name, , status, code]: (typeof cases)[number], index: number) => {
    const got = await refused(t, passing, `/v1/realtime?case=${index}`)
    t.strictSame([got.status, codeOf(got)], [status, `SOAKP_UPSTREAM_${code}`], name)
    t.notMatch(JSON.stringify(got), RAW_KEY.slice(8), `${name}: without the key`)
  }
  await Promise.all(cases.map(check))
  await eventually('no upstream connection is kept', () => passing.upstream.openConnections() === 0)
  t.equal(passing.soakp.app.unsealed.liveCalls.size, 0)
  t.notMatch(passing.logs.join(''), RAW_KEY.slice(8), 'nor do the logs have it')
})

function withBody(status: number, body: string | Buffer, ...lines: string[]): string {
  const bytes = Buffer.from(body)
  const head = [`HTTP/1.1 ${status} No`, ...lines, `Content-Length: ${bytes.length}`, 'Connection: close']
  return answerText(head, bytes.toString('latin1'))
}

/** Returns the texts of a raw upstream's frames after the handshake: masked, and short. */
function collectFrames(wire: Wire): () => string[] {
  const start = wire.text().length
  return () => {
    const bytes = Buffer.from(wire.text().slice(start), 'latin1')
    const texts: string[] = []
    for (let at = 0; at + 6 <= bytes.length;) {
      const length = (bytes[at + 1] ?? 0) & 127
      const mask = bytes.subarray(at + 2, at + 6)
      const data = bytes.subarray(at + 6, at + 6 + length).map((byte, index) => byte ^ (mask[index % 4] ?? 0))
      texts.push(Buffer.from(data).toString())
      at += 6 + length
    }
    return texts
  }
}
