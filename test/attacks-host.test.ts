import { get } from 'node:http'
import type { IncomingMessage } from 'node:http'
import type { AddressInfo } from 'node:net'
import { inspect } from 'node:util'
import Fastify from 'fastify'
import type { FastifyInstance } from 'fastify'
import { test } from 'tap'
import type { Test } from 'tap'
import { plugin } from '../index.ts'
import { ca, issue } from './support/certificates.ts'
import { PREFACE, TYPES, connectHttp2, frame, readFrames, request } from './support/http2-frames.ts'
import { RAW_KEY } from './support/passing.ts'
import { ADMIN, temporaryFolder } from './support/soakp.ts'
import { answerText, eventually, startRawUpstream } from './support/wire.ts'

/** SETTINGS_INITIAL_WINDOW_SIZE of 0: no byte of an answer's body may come. */
const NO_WINDOW = frame(TYPES.settings, 0, 0, Buffer.from([0, 4, 0, 0, 0, 0]))

/** Starts somebody else's Fastify with SOAKP as its plugin, and returns its port and a token. */
async function listen(t: Test, app: FastifyInstance, upstream: string): Promise<{ port: number; token: string }> {
  t.teardown(() => app.close())
  await app.register(plugin, { dataDir: await temporaryFolder(t), upstream, adminToken: ADMIN, drainSeconds: 1 })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const headers = { authorization: `Bearer ${ADMIN}`, host: 'localhost' }
  const saved = await app.inject({ method: 'POST', url: '/soakp/keys', headers, payload: { key: RAW_KEY } })
  return {
    port: (app.server.address() as AddressInfo).port,
    token: saved.json<{ token: { token: string } }>().token.token,
  }
}

function ask(port: number, headers: Record<string, string>): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const take = (answer: IncomingMessage) => answer.resume().once('end', () => resolve(answer.statusCode))
    get({ port, path: '/v1/x', headers }, take).once('error', reject)
  })
}

test("what a malformed answer says is not in the errors that a host's hooks get", async (t) => {
  const upstream = await startRawUpstream(t)
  const seen: unknown[] = []
  const app = Fastify()
  app.addHook('onError', async (_request, _reply, error) => void seen.push(error))
  const { port, token } = await listen(t, app, upstream.url)
  const upgrade = {
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': Buffer.alloc(16).toString('base64'),
  }
  for (const answer of [`${RAW_KEY} 200\r\n\r\n`, `HTTP/1.1 200 OK\r\nno header\r\nX: ${RAW_KEY}\r\n\r\n`]) {
    upstream.answer(({ wire }) => wire.write(answer))
    for (const headers of [{}, upgrade]) {
      t.equal(await ask(port, { authorization: `Bearer ${token}`, ...headers }), 502)
    }
  }
  t.equal(seen.length, 4)
  const text = inspect(seen, { depth: 20, maxStringLength: Infinity })
  t.notMatch(text, RAW_KEY)
  t.notMatch(text, /<Buffer/, 'which would print it in other digits')
})

test('in a host that speaks HTTP/2, too, a stream that is reset with NO_ERROR ends its call', async (t) => {
  const upstream = await startRawUpstream(t)
  const { key, cert } = await issue('localhost')
  const app = Fastify({
    http2: true,
    https: { key, cert, allowHTTP1: true },
  }) as unknown as FastifyInstance
  const { port, token } = await listen(t, app, upstream.url)
  upstream.answer(({ wire }) => wire.write(answerText(['HTTP/1.1 200 OK', 'Content-Length: 9'], 'begun')))
  const socket = await connectHttp2(port, ca)
  t.teardown(() => socket.destroy())
  const target = { ':method': 'GET', ':scheme': 'https', ':path': '/v1/x', ':authority': 'localhost' }
  socket.write(
    Buffer.concat([PREFACE, NO_WINDOW, request(1, [...Object.entries(target), ['authorization', `Bearer ${token}`]])]),
  )
  const chunks: Buffer[] = []
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  const isBegun = () => readFrames(Buffer.concat(chunks)).some(({ type }) => type === TYPES.headers)
  await eventually('the head has come', isBegun)
  socket.write(frame(TYPES.reset, 0, 1, Buffer.alloc(4)))
  await eventually('the call has ended', () => upstream.requests.at(-1)?.wire.end !== undefined)
  t.equal(socket.destroyed, false, 'and its connection has not')
})
