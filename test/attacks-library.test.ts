import { createHash } from 'node:crypto'
import { test } from 'tap'
import type { EventStream } from '../index.ts'
import { startLibrary } from './support/library.ts'

test('a body whose next chunk had come ended the process when it was cancelled', async (t) => {
  const { soakp, token } = await startLibrary(t)
  const headers = { authorization: `Bearer ${token}` }
  for (const howMany of [1, 5]) {
    const answers = await Promise.all(
      Array.from({ length: howMany }, async () => soakp.fetch('/v1/models', { headers })),
    )
    await Promise.all(answers.map(async ({ body }) => body?.cancel()))
  }
  const stream = await soakp.request<EventStream>(token, 'chat/completions', {
    model: 'gpt-5-mini',
    messages: [{ role: 'user', content: 'Good morning' }],
    stream: true,
  })
  for await (const event of stream) {
    t.ok(event)
    break
  }
  // What went wrong did so in a later turn, with nobody to catch it.
  const { status } = await soakp.fetch('/v1/models', { headers })
  t.equal(status, 200)
})

test('a body that waits for its next chunk is cancelled at once, and the upstream hears of it', async (t) => {
  const { soakp, token, upstream, wasEnded } = await startLibrary(t)
  upstream.handle('GET', '/v1/endless', (_request, response) => {
    response.writeHead(200, { 'content-type': 'text/plain' })
    response.write('first')
  })
  const { body } = await soakp.fetch('/v1/endless', { headers: { authorization: `Bearer ${token}` } })
  const reader = body?.getReader()
  t.equal(Buffer.from((await reader?.read())?.value ?? []).toString(), 'first')
  const waiting = reader?.read()
  await reader?.cancel()
  t.match(await waiting, { done: true })
  await wasEnded()
})

test('a call that is answered with a WebSocket is rejected: it was never settled', async (t) => {
  const { soakp, token, upstream } = await startLibrary(t)
  upstream.server.on('upgrade', ({ headers: { 'sec-websocket-key': key = '' } }, socket) => {
    const accept = createHash('sha1').update(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`).digest('base64')
    const lines = ['HTTP/1.1 101 Switching Protocols', 'Upgrade: websocket', 'Connection: Upgrade']
    socket.write(`${lines.join('\r\n')}\r\nSec-WebSocket-Accept: ${accept}\r\n\r\n`)
  })
  const headers = {
    authorization: `Bearer ${token}`,
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
  }
  await t.rejects(soakp.fetch('/v1/realtime?model=gpt-realtime', { headers }), {
    message: 'The call was not answered.',
  })
})
