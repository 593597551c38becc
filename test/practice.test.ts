import { createHash, randomBytes } from 'node:crypto'
import OpenAI, { toFile } from 'openai'
import { test } from 'tap'
import type { Test } from 'tap'
import { startPracticeUpstream } from '../practice/upstream.ts'
import type { PracticeUpstream } from '../practice/upstream.ts'
import { collect, matchesSchema as matches, refuses } from './fixtures/openai.ts'

const weatherParameters = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] }
const hello = [{ role: 'user', content: 'Good morning' }] as const

async function start(t: Test): Promise<{ upstream: PracticeUpstream; client: OpenAI }> {
  const upstream = await startPracticeUpstream()
  t.teardown(() => upstream.close())
  return { upstream, client: new OpenAI({ apiKey: upstream.key, baseURL: upstream.url, maxRetries: 0 }) }
}

test('a wrong key is answered as OpenAI answers it, and keys can be rotated', async (t) => {
  const { upstream, client } = await start(t)
  const wrong = client.withOptions({ apiKey: 'sk-wrong-0123456789-last' })
  await refuses(t, wrong.models.list(), {
    status: 401,
    code: 'invalid_api_key',
    type: 'invalid_request_error',
    param: null,
    message: /provided: sk-wrong\*{12}last\. You can find/,
  })
  const response = await fetch(`${upstream.url}/models`)
  t.equal(response.status, 401)
  matches(t, 'ErrorResponse', await response.json())
  upstream.keys.delete(upstream.key)
  await refuses(t, client.models.list(), { status: 401 })
  upstream.keys.add('sk-wrong-0123456789-last')
  await t.resolves(wrong.models.list().then(() => undefined))
})

test('models are listed, described and deleted, with the headers of OpenAI', async (t) => {
  const { client } = await start(t)
  const { data: page, response, request_id: requestId } = await client.models.list().withResponse()
  matches(t, 'ListModelsResponse', { object: 'list', data: page.data })
  t.match(requestId, /^req_/)
  t.match(response.headers.get('x-ratelimit-remaining-tokens'), /^\d+$/)
  t.match(response.headers.getSetCookie()[0], /^__cf_bm=/)
  matches(t, 'Model', await client.models.retrieve('practice-slow'))
  matches(t, 'DeleteModelResponse', await client.models.delete('ft:gpt-4o-mini:practice::1'))
  await refuses(t, client.models.retrieve('ft:gpt-4o-mini:practice::1'), { status: 404, code: 'model_not_found' })
})

test('an unknown path is a 404 and a wrong method a 405, both in the envelope', async (t) => {
  const { client } = await start(t)
  await refuses(t, client.get('/unknown?x=1'), { status: 404, message: /Invalid URL \(GET \/v1\/unknown\)/ })
  await refuses(t, client.put('/models'), { status: 405, code: 'method_not_supported' })
  await refuses(t, client.post('/embeddings', { body: 'no JSON' }), {
    status: 400,
    message: /could not parse the JSON/,
  })
})

test('a chat completion says back what the user said, whole and streamed', async (t) => {
  const { client } = await start(t)
  const whole = await client.chat.completions.create({ model: 'gpt-5-mini', messages: [...hello] })
  matches(t, 'CreateChatCompletionResponse', whole)
  t.match(whole.choices[0]?.message.content, /Good morning$/)
  const chunks = await collect(
    await client.chat.completions.create({
      model: 'gpt-5-mini',
      messages: [...hello],
      stream: true,
      stream_options: { include_usage: true },
    }),
  )
  for (const chunk of chunks) matches(t, 'CreateChatCompletionStreamResponse', chunk)
  t.equal(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join(''), whole.choices[0]?.message.content)
  t.strictSame(chunks.at(-1)?.usage, whole.usage)
  await refuses(t, client.post('/chat/completions', { body: { model: 'x' } }), { status: 400, param: 'messages' })
  await refuses(t, client.post('/chat/completions', { body: { messages: hello } }), { status: 400, param: 'model' })
})

test('a chat completion calls the tool it is told to call', async (t) => {
  const { client } = await start(t)
  const request = {
    model: 'gpt-5-mini',
    messages: [...hello],
    tools: [{ type: 'function' as const, function: { name: 'weather', parameters: weatherParameters } }],
    tool_choice: 'required' as const,
  }
  const whole = await client.chat.completions.create(request)
  matches(t, 'CreateChatCompletionResponse', whole)
  const streamed = await client.chat.completions.stream(request).finalChatCompletion()
  for (const { choices } of [whole, streamed]) {
    const expected = { type: 'function', function: { name: 'weather', arguments: '{"city":"Good morning"}' } }
    t.match(choices[0], { finish_reason: 'tool_calls', message: { tool_calls: [expected] } })
  }
})

test('a response is created, streamed, resumed from any event and deleted', async (t) => {
  const { client } = await start(t)
  const whole = await client.responses.create({ model: 'gpt-5-mini', input: 'Good morning' })
  matches(t, 'Response', whole)
  t.match(whole.output_text, /Good morning$/)
  const events = await collect(await client.responses.create({ model: 'gpt-5-mini', input: 'Hi', stream: true }))
  const schemas = ['Created', 'InProgress', 'OutputItemAdded', 'ContentPartAdded']
  for (const [index, name] of schemas.entries()) matches(t, `Response${name}Event`, events[index])
  const endings = ['TextDone', 'ContentPartDone', 'OutputItemDone', 'Completed']
  for (const [index, name] of endings.entries()) matches(t, `Response${name}Event`, events.at(index - endings.length))
  const deltas = events.slice(schemas.length, -endings.length)
  for (const delta of deltas) matches(t, 'ResponseTextDeltaEvent', delta)
  t.strictSame(
    events.map((event) => event.sequence_number),
    [...events.keys()],
  )
  const last = events.at(-1)
  const id = last?.type === 'response.completed' ? last.response.id : ''
  const resumed = await collect(await client.responses.retrieve(id, { stream: true, starting_after: 4 }))
  t.strictSame(resumed, events.slice(5))
  await client.responses.delete(id)
  await refuses(t, client.responses.retrieve(id), { status: 404 })
})

test('a response calls the tool it is told to call', async (t) => {
  const { client } = await start(t)
  const tools = [{ type: 'function' as const, name: 'weather', parameters: weatherParameters, strict: true }]
  const choice = { type: 'function' as const, name: 'weather' }
  const request = { model: 'gpt-5-mini', input: 'Paris', tools, tool_choice: choice }
  const events = await collect(await client.responses.create({ ...request, stream: true }))
  matches(t, 'ResponseFunctionCallArgumentsDeltaEvent', events[3])
  matches(t, 'ResponseFunctionCallArgumentsDoneEvent', events.at(-3))
  matches(t, 'ResponseCompletedEvent', events.at(-1))
  t.match(events.at(-1), { response: { output: [{ name: 'weather', arguments: '{"city":"Paris"}' }] } })
})

test('a response in the background can be looked at and cancelled', async (t) => {
  const { client } = await start(t)
  const ordered = await client.responses.create({ model: 'practice-slow', input: 'Hi', background: true })
  matches(t, 'Response', ordered)
  t.notSame(ordered.status, 'completed')
  t.equal((await client.responses.cancel(ordered.id)).status, 'cancelled')
  t.equal((await client.responses.retrieve(ordered.id)).status, 'cancelled')
})

test('legacy completions, embeddings and moderations have the right shapes', async (t) => {
  const { client } = await start(t)
  const prompt = { model: 'gpt-3.5-turbo-instruct', prompt: 'Good morning' }
  const completion = await client.completions.create(prompt)
  matches(t, 'CreateCompletionResponse', completion)
  const chunks = await collect(await client.completions.create({ ...prompt, stream: true }))
  t.equal(chunks.map((chunk) => chunk.choices[0]?.text).join(''), completion.choices[0]?.text)
  const asBase64 = await client.embeddings.create({ model: 'text-embedding-3-small', input: ['one', 'two'] })
  const request = { model: 'text-embedding-3-small', input: ['one', 'two'], encoding_format: 'float' as const }
  const asNumbers = await client.embeddings.create(request)
  matches(t, 'CreateEmbeddingResponse', asNumbers)
  t.strictSame(asBase64, asNumbers)
  t.equal(asNumbers.data[0]?.embedding.length, 1536)
  const moderation = await client.moderations.create({ input: ['kind', 'practice-violence'] })
  matches(t, 'CreateModerationResponse', moderation)
  t.strictSame(
    moderation.results.map(({ flagged }) => flagged),
    [false, true],
  )
})

test('a file comes back byte for byte, whole and in ranges', async (t) => {
  const { upstream, client } = await start(t)
  const content = Buffer.concat([randomBytes(100_000), Buffer.from('\r\n--\r\n')])
  const file = await client.files.create({ file: await toFile(content, 'ä "1".bin'), purpose: 'user_data' })
  matches(t, 'OpenAIFile', file)
  t.match(file, { bytes: content.length, filename: 'ä "1".bin', purpose: 'user_data' })
  matches(t, 'ListFilesResponse', await (await client.files.list().asResponse()).json())
  t.strictSame(await client.files.retrieve(file.id), file)
  const url = `${upstream.url}/files/${file.id}/content`
  const get = (range: string, method = 'GET'): Promise<Response> =>
    fetch(url, { method, headers: { authorization: `Bearer ${upstream.key}`, range } })
  t.ok(Buffer.from(await (await client.files.content(file.id)).arrayBuffer()).equals(content))
  const part = await get('bytes=10-19')
  t.equal(part.status, 206)
  t.equal(part.headers.get('content-range'), `bytes 10-19/${content.length}`)
  t.ok(Buffer.from(await part.arrayBuffer()).equals(content.subarray(10, 20)))
  t.ok(Buffer.from(await (await get('bytes=-5')).arrayBuffer()).equals(content.subarray(-5)))
  t.equal((await get(`bytes=${content.length}-`)).status, 416)
  const head = await get('', 'HEAD')
  t.equal(head.headers.get('content-length'), String(content.length))
  t.equal((await head.arrayBuffer()).byteLength, 0)
  matches(t, 'DeleteFileResponse', await client.files.delete(file.id))
  await refuses(t, client.files.content(file.id), { status: 404 })
})

test('an upload in parts becomes a file, and a batch answers each line of one', async (t) => {
  const { client } = await start(t)
  const line = { custom_id: 'first', method: 'POST', body: { model: 'gpt-5-mini', messages: hello } }
  const lines = Buffer.from(`${JSON.stringify(line)}\n{"custom_id":"second","body":{}}\n`)
  const form = { bytes: lines.length, filename: 'in.jsonl', mime_type: 'text/jsonl', purpose: 'batch' as const }
  const upload = await client.uploads.create(form)
  const part = await client.uploads.parts.create(upload.id, { data: await toFile(lines, 'part') })
  matches(t, 'UploadPart', part)
  const completed = await client.uploads.complete(upload.id, { part_ids: [part.id] })
  matches(t, 'Upload', completed)
  await refuses(t, client.uploads.cancel(upload.id), { status: 400 })
  const batch = await client.batches.create({
    input_file_id: completed.file?.id ?? '',
    endpoint: '/v1/chat/completions',
    completion_window: '24h',
  })
  matches(t, 'Batch', batch)
  t.equal((await client.batches.retrieve(batch.id)).status, 'in_progress')
  const done = await client.batches.retrieve(batch.id)
  matches(t, 'Batch', done)
  t.match(done, { status: 'completed', request_counts: { total: 2, completed: 1, failed: 1 } })
  t.match(await (await client.files.content(done.output_file_id ?? '')).text(), /Good morning/)
  t.strictSame((await client.batches.list()).data, [done])
  await refuses(t, client.batches.cancel(batch.id), { status: 409 })
})

test('speech is a WAV file and transcriptions know what they were sent', async (t) => {
  const { client } = await start(t)
  const order = { model: 'tts-1', voice: 'alloy', input: 'one two' }
  const spoken = await client.audio.speech.create(order)
  t.equal(spoken.headers.get('content-type'), 'audio/wav')
  const wav = Buffer.from(await spoken.arrayBuffer())
  t.equal(wav.toString('latin1', 0, 4), 'RIFF')
  t.equal(wav.readUInt32LE(4), wav.length - 8)
  const stream = await (await client.audio.speech.create({ ...order, stream_format: 'sse' })).text()
  const events = stream
    .trim()
    .split('\n\n')
    .map((event) => JSON.parse(event.split('\ndata: ')[1] ?? ''))
  for (const event of events.slice(0, -1)) matches(t, 'SpeechAudioDeltaEvent', event)
  matches(t, 'SpeechAudioDoneEvent', events.at(-1))
  t.ok(Buffer.concat(events.slice(0, -1).map(({ audio }) => Buffer.from(audio, 'base64'))).equals(wav))
  const file = await toFile(wav, 'speech.wav')
  const transcription = await client.audio.transcriptions.create({ model: 'whisper-1', file })
  matches(t, 'CreateTranscriptionResponseJson', transcription)
  t.match(transcription.text, `heard ${wav.length} bytes in speech.wav`)
  const model = 'whisper-1'
  t.match(await client.audio.translations.create({ model, file, response_format: 'text' }), 'speech.wav')
  const verbose = await client.audio.transcriptions.create({ model, file, response_format: 'verbose_json' })
  matches(t, 'CreateTranscriptionResponseVerboseJson', verbose)
  const heard = await collect(await client.audio.transcriptions.create({ model, file, stream: true }))
  for (const event of heard.slice(0, -1)) matches(t, 'TranscriptTextDeltaEvent', event)
  matches(t, 'TranscriptTextDoneEvent', heard.at(-1))
})

test('images are made and edited', async (t) => {
  const { client } = await start(t)
  const made = await client.images.generate({ model: 'gpt-image-1', prompt: 'A cat', n: 2 })
  matches(t, 'ImagesResponse', made)
  const png = Buffer.from(made.data?.[1]?.b64_json ?? '', 'base64')
  t.equal(png.toString('latin1', 1, 4), 'PNG')
  const edited = await client.images.edit({ image: [await toFile(png, 'cat.png')], prompt: 'A dog' })
  matches(t, 'ImagesResponse', edited)
  const order = { model: 'gpt-image-1', prompt: 'A cat', stream: true as const, partial_images: 1 }
  const [partial, completed] = await collect(await client.images.generate(order))
  matches(t, 'ImageGenPartialImageEvent', partial)
  matches(t, 'ImageGenCompletedEvent', completed)
})

test('a WebRTC offer is answered with SDP and a Location, raw or as a form', async (t) => {
  const { client } = await start(t)
  const raw = { body: 'v=0\r\n', headers: { 'content-type': 'application/sdp' }, __binaryResponse: true }
  const form = await client.realtime.calls.create({ sdp: 'v=0\r\n', session: { type: 'realtime' } })
  for (const response of [await client.post('/realtime/calls', raw).asResponse(), form]) {
    t.equal(response.status, 201)
    t.match(response.headers.get('location'), /^\/v1\/realtime\/calls\/rtc_\w+$/)
    t.match(await response.text(), /^v=0\r\n/)
  }
  const secret = await client.realtime.clientSecrets.create({ session: { type: 'realtime' } })
  t.match(secret, { value: /^ek_/, session: { type: 'realtime', object: 'realtime.session' } })
})

test('a client that goes away stops the stream and is recorded as aborted', async (t) => {
  const { upstream, client } = await start(t)
  const request = { model: 'practice-slow', stream: true as const }
  for await (const chunk of await client.chat.completions.create({ ...request, messages: [...hello] })) {
    if (chunk.choices[0]?.delta.content) break
  }
  for await (const event of await client.responses.create({ ...request, input: 'Hi' })) {
    if (event.type === 'response.output_text.delta') break
  }
  const controller = new AbortController()
  const waiting = client.responses.create({ model: 'practice-slow', input: 'Hi' }, { signal: controller.signal })
  upstream.server.once('request', () => controller.abort())
  await t.rejects(waiting)
  t.equal(upstream.requests.length, 3)
  await Promise.all(upstream.requests.map(({ ended }) => ended))
  t.ok(upstream.requests.every(({ aborted }) => aborted))
})

test('a request is recorded as it came, and of a long body only length and hash', async (t) => {
  const { upstream } = await start(t)
  const headers = { authorization: `Bearer ${upstream.key}`, 'X-Odd': '1', 'content-type': 'application/json' }
  await fetch(`${upstream.url}/embeddings?a=%2f`, { method: 'POST', headers, body: '{}' })
  const [short] = upstream.requests
  t.match(short, { method: 'POST', url: '/v1/embeddings?a=%2f', bodyBytes: 2, complete: true, aborted: false })
  t.ok(short?.rawHeaders.includes('X-Odd'))
  t.equal(short?.body.toString(), '{}')
  upstream.clear()
  const form = new FormData()
  form.set('file', new Blob([Buffer.alloc(9 * 1024 * 1024)]), 'long')
  form.set('purpose', 'user_data')
  const request = new Request(`${upstream.url}/files`, { method: 'POST', body: form })
  const bytes = Buffer.from(await request.clone().arrayBuffer())
  request.headers.set('authorization', `Bearer ${upstream.key}`)
  t.match(await (await fetch(request)).json(), { bytes: 9 * 1024 * 1024 })
  const [long] = upstream.requests
  t.match(long, { bodyBytes: bytes.length, bodySha256: createHash('sha256').update(bytes).digest('hex') })
  t.equal(long?.body.length, 0)
})

test('a test answers for itself, before authentication and before the body is read', async (t) => {
  const { upstream } = await start(t)
  const takeBack = upstream.handle('POST', '/v1//odd', async (request, response, readBody) => {
    t.equal(request.complete, false)
    response.end(await readBody())
  })
  upstream.handle('*', '*', (request, response) => void response.end(request.url))
  const post = { method: 'POST', body: 'my own' }
  t.equal(await (await fetch(`${upstream.url}//odd?x`, post)).text(), 'my own')
  takeBack()
  t.equal(await (await fetch(`${upstream.url}//odd?x`, post)).text(), '/v1//odd?x')
  t.ok(upstream.openConnections() > 0)
  await upstream.close()
  t.equal(upstream.openConnections(), 0)
  await t.rejects(fetch(upstream.url))
})
