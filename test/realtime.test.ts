import { join } from 'node:path'
import { OpenAIRealtimeWS } from 'openai/realtime/ws'
import type { RealtimeServerEvent } from 'openai/resources/realtime/realtime'
import { LiveWS } from 'openai/resources/live/ws'
import { ResponsesWS } from 'openai/resources/responses/ws'
import { test } from 'tap'
import { run } from './support/process.ts'
import { startSoakp } from './support/soakp.ts'
import type { TestSoakp } from './support/soakp.ts'
import { eventually } from './support/wire.ts'

/** Opens a Realtime session with the SDK, as its README does, and collects the events. */
async function openSession(soakp: TestSoakp, token: string, model = 'gpt-realtime') {
  const realtime = new OpenAIRealtimeWS({ model, options: { ca: soakp.authority } }, soakp.openai(token))
  const events: RealtimeServerEvent[] = []
  const errors: string[] = []
  realtime.on('event', (event) => events.push(event))
  realtime.on('error', ({ message }) => errors.push(message))
  const closed = new Promise<{ code: number; reason: string }>((resolve) => {
    realtime.socket.once('close', (code, reason) => resolve({ code, reason: String(reason) }))
  })
  await Promise.race([new Promise((resolve) => realtime.socket.once('open', resolve)), closed])
  return { realtime, events, errors, closed }
}

/** Says something in a session and waits for the whole reply. */
async function talk({ realtime, events }: Awaited<ReturnType<typeof openSession>>, text: string): Promise<string> {
  const content = [{ type: 'input_text', text } as const]
  realtime.send({ type: 'conversation.item.create', item: { type: 'message', role: 'user', content } })
  realtime.send({ type: 'response.create', response: { output_modalities: ['text'] } })
  await eventually('the reply', () => events.some(({ type }) => type === 'response.done'))
  return events.map((event) => (event.type === 'response.output_text.delta' ? event.delta : '')).join('')
}

test("the SDK's Realtime class for Node works with a token", async (t) => {
  const soakp = await startSoakp(t)
  const { token } = await soakp.saveKey()
  const session = await openSession(soakp, token)
  t.equal(await talk(session, 'Good morning'), 'Hello from the practice upstream! You said: Good morning')
  const { realtime, events, errors, closed } = session
  const types = events.map(({ type }) => type).filter((type, at, all) => type !== all[at - 1])
  t.strictSame(types, [
    'session.created',
    'conversation.item.added',
    'conversation.item.done',
    'response.created',
    'response.output_item.added',
    'response.content_part.added',
    'response.output_text.delta',
    'response.output_text.done',
    'response.content_part.done',
    'response.output_item.done',
    'response.done',
  ])
  realtime.send({ type: 'session.update', session: { type: 'realtime', instructions: 'Be brief.' } })
  await eventually('the update', () => events.at(-1)?.type === 'session.updated')
  realtime.send({ type: 'input_audio_buffer.append', audio: 'AAAA'.repeat(1_000_000) })
  realtime.send({ type: 'input_audio_buffer.commit' })
  await eventually('the sound is taken', () => events.some(({ type }) => type === 'input_audio_buffer.committed'))
  t.strictSame(errors, [])
  realtime.close({ code: 1000, reason: 'OK' })
  t.strictSame(await closed, { code: 1000, reason: 'OK' })
  const [handshake] = soakp.upstream.requests
  t.equal(handshake?.url, '/v1/realtime?model=gpt-realtime')
  t.ok(handshake?.rawHeaders.includes(`Bearer ${soakp.upstream.key}`))
  t.notMatch(JSON.stringify(handshake?.rawHeaders), token)
})

test("the SDK's Realtime class for browsers works with a token in a subprotocol", async (t) => {
  const soakp = await startSoakp(t)
  const { token } = await soakp.saveKey()
  const code = `
    import OpenAI from 'openai'
    import { OpenAIRealtimeWebSocket } from 'openai/realtime/websocket'

    const realtime = await OpenAIRealtimeWebSocket.create(new OpenAI(), { model: 'gpt-realtime' })
    realtime.on('error', (error) => { throw error })
    realtime.on('session.created', () => realtime.send({ type: 'response.create' }))
    realtime.on('response.output_text.delta', ({ delta }) => process.stdout.write(delta))
    realtime.on('response.done', () => realtime.close())
    realtime.socket.addEventListener('close', ({ code, reason }) => {
      console.log('|', code, reason, realtime.socket.protocol)
    })
  `
  const { ended } = run(t, process.execPath, ['--input-type=module', '-e', code], {
    environment: {
      NODE_EXTRA_CA_CERTS: join(soakp.dataDir, 'local-authority.pem'),
      OPENAI_BASE_URL: `${soakp.address}/v1`,
      OPENAI_API_KEY: token,
    },
  })
  const { stdout, stderr } = await ended
  t.equal(stdout, 'Hello from the practice upstream! Say something and I will say it back.| 1000 OK realtime\n', stderr)
  const [handshake] = soakp.upstream.requests
  t.notMatch(JSON.stringify(handshake?.rawHeaders), /insecure/)
})

test("the SDK's Responses and Live sockets work with a token", async (t) => {
  const soakp = await startSoakp(t)
  const { token } = await soakp.saveKey()
  const options = { ca: soakp.authority }
  const responses = new ResponsesWS(soakp.openai(token), options)
  const words = new Map<string | undefined, string>()
  const done: (string | undefined)[] = []
  responses.on('response.output_text.delta', ({ delta, stream_id }) => {
    words.set(stream_id, (words.get(stream_id) ?? '') + delta)
  })
  responses.on('response.completed', ({ stream_id }) => done.push(stream_id))
  responses.on('error', (error) => t.fail(error.message))
  for (const lane of ['one', 'two']) {
    responses.send({ type: 'response.create', model: 'gpt-5', input: `lane ${lane}`, stream_id: lane })
  }
  await eventually('both responses', () => done.length === 2)
  t.match(words.get('one'), /You said: lane one$/)
  t.match(words.get('two'), /You said: lane two$/)
  responses.close()

  const live = new LiveWS(soakp.openai(token), options)
  const events: string[] = []
  live.on('event', ({ type }) => events.push(type))
  live.on('error', (error) => t.fail(error.message))
  live.send({ type: 'session.start', session: { model: 'gpt-live-1' } })
  await eventually('the start', () => events.includes('session.started'))
  live.send({ type: 'session.close' })
  await eventually('the end', () => events.includes('session.closed'))
  const paths = soakp.upstream.requests.map(({ url }) => url)
  t.strictSame(paths, ['/v1/responses', '/v1/live/sessions'])
})

test('a refusal has its status where the SDK shows it', async (t) => {
  const soakp = await startSoakp(t)
  const { id, token } = await soakp.saveKey()
  t.match((await openSession(soakp, `${token}x`)).errors, [/response: 401/])
  const { token: narrow } = await soakp.mint(id, { scope: { paths: ['/models'] } })
  t.match((await openSession(soakp, narrow)).errors, [/response: 403/])
  soakp.upstream.keys.clear()
  t.match((await openSession(soakp, token)).errors, [/response: 502/], 'the upstream refuses the key')
})

test('a revocation closes running sessions with 1008, and so does the end of the key', async (t) => {
  const soakp = await startSoakp(t)
  const { id, token, tokenId } = await soakp.saveKey()
  const { token: other } = await soakp.mint(id)
  const sessions = await Promise.all(Array.from({ length: 10 }, () => openSession(soakp, token)))
  const spared = await openSession(soakp, other)
  const ends = [
    [() => soakp.manage('DELETE', `/soakp/tokens/${tokenId}`), sessions],
    [() => soakp.manage('DELETE', `/soakp/keys/${id}`), [spared]],
  ] as const
  for (const [end, ended] of ends) {
    for (const { realtime } of ended) {
      realtime.send({ type: 'response.create' })
      t.equal(realtime.socket.readyState, realtime.socket.OPEN)
    }
    const beginMs = performance.now()
    await end()
    for (const { closed } of ended) t.strictSame(await closed, { code: 1008, reason: 'the token was revoked' })
    const tookMs = performance.now() - beginMs
    t.ok(tookMs < 2_500, `closed after ${tookMs.toFixed(1)} ms`)
  }
  await eventually('the end of the upstream sockets', () => soakp.upstream.openConnections() <= 1)
  t.equal(soakp.app.unsealed.liveCalls.size, 0)
  t.match((await openSession(soakp, token)).errors, [/response: 401/])
})
