import { createHash, randomBytes } from 'node:crypto'
import OpenAI, { toFile } from 'openai'
import { test } from 'tap'
import type { Test } from 'tap'
import { collect, matchesSchema as matches, refuses } from './fixtures/openai.ts'
import { startSoakp } from './support/soakp.ts'
import type { TestSoakp } from './support/soakp.ts'

const model = 'gpt-5-mini'
const messages = [{ role: 'user', content: 'Good morning' }] as const

interface Scene {
  readonly soakp: TestSoakp
  readonly token: string
  readonly keyId: string
  readonly client: OpenAI
}

async function start(t: Test): Promise<Scene> {
  const soakp = await startSoakp(t)
  const { id, token } = await soakp.saveKey()
  return { soakp, token, keyId: id, client: connect(soakp, token) }
}

/** The SDK as a user has it, with the fetch of Node, that trusts the local authority. */
function connect({ address, trusting }: TestSoakp, apiKey: string, prefix = '/v1'): OpenAI {
  return new OpenAI({ apiKey, baseURL: address + prefix, fetchOptions: { dispatcher: trusting } as object })
}

function call({ address, trusting }: TestSoakp, path: string, init: RequestInit): Promise<Response> {
  return fetch(address + path, { ...init, dispatcher: trusting } as object)
}

test('chat, responses and completions come whole and as streams', async (t) => {
  const { client } = await start(t)
  const whole = await client.chat.completions.create({ model, messages: [...messages] })
  matches(t, 'CreateChatCompletionResponse', whole)
  t.match(whole.choices[0]?.message.content, /Good morning$/)
  const chunks = await collect(await client.chat.completions.create({ model, messages: [...messages], stream: true }))
  t.ok(chunks.length > 3)
  t.equal(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join(''), whole.choices[0]?.message.content)

  const response = await client.responses.create({ model, input: 'Good morning' })
  matches(t, 'Response', response)
  const events = await collect(await client.responses.create({ model, input: 'Hi', stream: true }))
  t.equal(events[0]?.type, 'response.created')
  const last = events.at(-1)
  const id = last?.type === 'response.completed' ? last.response.id : ''
  const resumed = await collect(await client.responses.retrieve(id, { stream: true, starting_after: 4 }))
  t.strictSame(resumed, events.slice(5), 'a stream can be taken up again')
  t.match(await client.responses.stream({ model, input: 'Hi' }).finalResponse(), { status: 'completed' })
  const completion = await client.completions.create({ model: 'gpt-3.5-turbo-instruct', prompt: 'Hello' })
  matches(t, 'CreateCompletionResponse', completion)
})

test('embeddings, moderations and models work', async (t) => {
  const { client } = await start(t)
  const embeddings = await client.embeddings.create({ model: 'text-embedding-3-small', input: ['one', 'two'] })
  t.equal(embeddings.data[1]?.embedding.length, 1_536)
  matches(t, 'CreateModerationResponse', await client.moderations.create({ input: 'kind' }))
  const names: string[] = []
  for await (const { id } of client.models.list()) names.push(id)
  t.ok(names.includes(model))
  matches(t, 'Model', await client.models.retrieve(model))
  t.match(await client.models.delete('ft:gpt-4o-mini:practice::1'), { deleted: true })
})

test('files go up and come down byte for byte, whole and in ranges', async (t) => {
  const { soakp, client, token } = await start(t)
  const content = Buffer.concat([randomBytes(3_000_000), Buffer.from('\r\n--\r\n')])
  const file = await client.files.create({ file: await toFile(content, 'ä "1".bin'), purpose: 'user_data' })
  t.match(file, { bytes: content.length, filename: 'ä "1".bin' })
  t.equal(hash(await (await client.files.content(file.id)).arrayBuffer()), hash(content))
  const load = (range: string, method = 'GET'): Promise<Response> =>
    call(soakp, `/v1/files/${file.id}/content`, { method, headers: { authorization: `Bearer ${token}`, range } })
  const part = await load('bytes=1000000-2000000')
  t.equal(part.status, 206)
  t.equal(part.headers.get('content-range'), `bytes 1000000-2000000/${content.length}`)
  t.equal(hash(await part.arrayBuffer()), hash(content.subarray(1_000_000, 2_000_001)))
  t.equal((await load(`bytes=${content.length}-`)).status, 416)
  t.equal((await load('', 'HEAD')).headers.get('content-length'), String(content.length))
  t.match(await client.files.delete(file.id), { deleted: true })
  await refuses(t, client.files.content(file.id), { status: 404, requestID: /^req_/ })
})

test('an upload in parts feeds a batch', async (t) => {
  const { client } = await start(t)
  const line = { custom_id: 'first', method: 'POST', body: { model, messages } }
  const lines = Buffer.from(`${JSON.stringify(line)}\n`)
  const form = { bytes: lines.length, filename: 'in.jsonl', mime_type: 'text/jsonl', purpose: 'batch' as const }
  const upload = await client.uploads.create(form)
  const part = await client.uploads.parts.create(upload.id, { data: await toFile(lines, 'part') })
  const { file } = await client.uploads.complete(upload.id, { part_ids: [part.id] })
  const order = { input_file_id: file?.id ?? '', endpoint: '/v1/chat/completions', completion_window: '24h' } as const
  const { id } = await client.batches.create(order)
  await client.batches.retrieve(id)
  const done = await client.batches.retrieve(id)
  t.match(done, { status: 'completed', request_counts: { completed: 1 } })
  t.match(await (await client.files.content(done.output_file_id ?? '')).text(), /Good morning/)
})

test('audio goes in and out, images are made and edited', async (t) => {
  const { client } = await start(t)
  const order = { model: 'tts-1', voice: 'alloy', input: 'one two' }
  const spoken = await client.audio.speech.create(order)
  t.equal(spoken.headers.get('content-type'), 'audio/wav')
  const wav = Buffer.from(await spoken.arrayBuffer())
  t.equal(wav.readUInt32LE(4), wav.length - 8)
  t.match(await (await client.audio.speech.create({ ...order, stream_format: 'sse' })).text(), /speech\.audio\.done/)
  const file = await toFile(wav, 'speech.wav')
  const heard = await client.audio.transcriptions.create({ model: 'whisper-1', file })
  t.match(heard.text, `heard ${wav.length} bytes in speech.wav`)
  const deltas = await collect(await client.audio.transcriptions.create({ model: 'whisper-1', file, stream: true }))
  t.equal(deltas.at(-1)?.type, 'transcript.text.done')
  t.match(await client.audio.translations.create({ model: 'whisper-1', file }), { text: /speech\.wav/ })

  const made = await client.images.generate({ model: 'gpt-image-1', prompt: 'A cat' })
  const png = Buffer.from(made.data?.[0]?.b64_json ?? '', 'base64')
  t.equal(png.toString('latin1', 1, 4), 'PNG')
  const edited = await client.images.edit({ image: [await toFile(png, 'cat.png')], prompt: 'A dog' })
  matches(t, 'ImagesResponse', edited)
  const pictures = { model: 'gpt-image-1', prompt: 'A cat', stream: true as const, partial_images: 1 }
  t.equal((await collect(await client.images.generate(pictures))).length, 2)
})

test("WebRTC's offer is answered, raw by fetch and as a form by the SDK", async (t) => {
  const { soakp, client, token } = await start(t)
  const raw = await call(soakp, '/v1/realtime/calls?model=gpt-realtime', {
    method: 'POST',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/sdp' },
    body: 'v=0\r\n',
  })
  const form = await client.realtime.calls.create({ sdp: 'v=0\r\n', session: { type: 'realtime' } })
  for (const response of [raw, form]) {
    t.equal(response.status, 201)
    t.match(response.headers.get('location'), /^\/v1\/realtime\/calls\/rtc_\w+$/)
    t.match(await response.text(), /^v=0\r\n/)
  }
  t.match(await client.realtime.clientSecrets.create({ session: { type: 'realtime' } }), { value: /^ek_/ })
})

test('the headers of OpenAI reach the SDK, and paths that are new work under both prefixes', async (t) => {
  const { soakp, client, token } = await start(t)
  const { response, request_id: requestId } = await client.models.list().withResponse()
  t.match(requestId, /^req_/)
  t.match(response.headers.get('x-ratelimit-remaining-tokens'), /^\d+$/)
  t.equal(response.headers.get('openai-organization'), null, 'the account stays unnamed')
  soakp.upstream.handle('*', '/v1/new/things', async (request, answer, readBody) => {
    const echo = { method: request.method, url: request.url, body: (await readBody()).toString() }
    answer.setHeader('content-type', 'application/json').end(JSON.stringify(echo))
  })
  for (const each of [client, connect(soakp, token, '/openai')]) {
    t.match(await each.get('/new/things', { query: { a: 'b c' } }), { method: 'GET', url: '/v1/new/things?a=b%20c' })
    t.match(await each.post('/new/things', { body: { x: 1 } }), { method: 'POST', body: '{"x":1}' })
  }
  await refuses(t, client.get('/unknown'), { status: 404, message: /Invalid URL \(GET \/v1\/unknown\)/ })
})

test('errors tell the SDK their status, code and request, and refusals are not tried again', async (t) => {
  const { soakp, client, keyId } = await start(t)
  const { upstream } = soakp
  const narrow = await soakp.mint(keyId, { scope: { methods: ['GET'] }, limits: { requests_per_minute: 1 } })
  await refuses(t, client.post('/chat/completions', { body: { model } }), {
    status: 400,
    param: 'messages',
    type: 'invalid_request_error',
    requestID: /^req_/,
  })
  upstream.clear()
  let attempts = 0
  soakp.app.server.on('request', () => (attempts += 1))
  const refused = { requestID: /^req_/ }
  await refuses(t, connect(soakp, 'no.such.token').models.list(), {
    ...refused,
    status: 401,
    code: 'SOAKP_TOKEN_REFUSED',
  })
  await refuses(t, connect(soakp, narrow.token).post('/x'), { ...refused, status: 403 })
  t.equal(upstream.requests.length, 0)
  await connect(soakp, narrow.token).models.list()
  await refuses(t, connect(soakp, narrow.token).models.list(), { ...refused, status: 429, code: 'SOAKP_LIMIT' })
  upstream.keys.clear()
  await refuses(t, client.models.list(), { ...refused, status: 502, code: 'SOAKP_UPSTREAM_REFUSED_KEY' })
  t.equal(attempts, 5, 'each refusal came once')
  t.equal(upstream.requests.length, 2)
  soakp.upstream.handle('GET', '/v1/busy', (_request, response) => {
    response.writeHead(503, { 'retry-after-ms': '1' }).end()
  })
  upstream.clear()
  await refuses(t, client.get('/busy'), { status: 503 })
  t.equal(upstream.requests.length, 3, 'what is worth trying again is tried by the SDK alone')
})

test('an AbortController and a broken loop end the call at the upstream', async (t) => {
  const { soakp, client } = await start(t)
  const { upstream } = soakp
  const slow = { model: 'practice-slow', stream: true as const }
  for await (const chunk of await client.chat.completions.create({ ...slow, messages: [...messages] })) {
    if (chunk.choices[0]?.delta.content) break
  }
  const controller = new AbortController()
  const waiting = client.responses.create({ model: 'practice-slow', input: 'Hi' }, { signal: controller.signal })
  upstream.server.once('request', () => controller.abort())
  await refuses(t, waiting, { message: 'Request was aborted.' })
  await Promise.all(upstream.requests.map(({ ended }) => ended))
  t.strictSame(
    upstream.requests.map(({ aborted }) => aborted),
    [true, true],
  )
  await soakp.app.close()
  await refuses(t, client.withOptions({ maxRetries: 0 }).models.list(), { message: 'Connection error.' })
})

function hash(bytes: ArrayBuffer | Buffer): string {
  return createHash('sha256').update(new Uint8Array(bytes)).digest('hex')
}
