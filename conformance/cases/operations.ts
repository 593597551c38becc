import { readFile } from 'node:fs/promises'
import type { Header } from '../messages.ts'
import { EVERY_BYTE, call, plain, sized, streamed } from './case.ts'
import type { Answer, Call } from './case.ts'

const EVENTS = ['Content-Type: text/event-stream; charset=utf-8', 'Cache-Control: no-cache', 'X-Request-Id: req_1']

const JSON_ANSWER = sized(
  'HTTP/1.1 200 OK',
  [
    'Content-Type: application/json',
    'openai-processing-ms: 12',
    'openai-version: 2020-10-01',
    'x-ratelimit-remaining-requests: 9',
    'x-request-id: req_1',
  ],
  '{"id": "x_1",  "object":"thing", "n": 1.0}',
)

const SDP = 'v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\n'

/** Operations that take a form. */
const FORMS =
  /^POST \/(?:audio\/(?:transcriptions|translations|voices|voice_consents)|content_provenance_checks|files|images\/(?:edits|variations)|uploads\/{}\/parts|videos(?:\/(?:characters|edits|extensions))?|containers\/{}\/files|skills(?:\/{}\/versions)?|agents\/environments\/{}\/files)$/

/** Operations that answer with bytes. */
const BINARY = /^(?:POST \/audio\/speech|GET .*\/content|GET \/agents\/sessions\/{}\/artifacts\/{})$/

/** Operations that answer with events where the body asks for them. */
const STREAMS =
  /^POST \/(?:chat\/completions|completions|responses|audio\/(?:speech|transcriptions)|images\/(?:generations|edits)|threads\/runs|threads\/{}\/runs(?:\/{}\/submit_tool_outputs)?)$/

/** Operations that open a call by WebRTC. */
const WEBRTC = /^POST \/(?:realtime\/calls|live\/sessions)$/

/** Reads the list of OpenAI's operations and makes a case of each of them with each of its transports. */
export async function operationCases(): Promise<Call[]> {
  const text = await readFile(new URL('../operations.txt', import.meta.url), 'utf8')
  return text.split('\n').flatMap((line) => {
    const [operation = '', method, path] = /^([A-Z]+) (\S+)/.exec(line) ?? []
    return method === undefined || path === undefined ? [] : casesOf(operation, method, path.replaceAll('{}', 'id_1-A'))
  })
}

function casesOf(operation: string, method: string, target: string): Call[] {
  const parts = { method, target, headers: SDK_HEADERS }
  const json = { ...parts, headers: [...SDK_HEADERS, ['Content-Type', 'application/json'] as const] }
  const cases: Call[] = []
  if (FORMS.test(operation)) cases.push(call(`${operation} with a form`, { ...parts, ...form(), answer: JSON_ANSWER }))
  else if (method === 'POST')
    cases.push(call(operation, { ...json, body: '{ "model": "m", "n": 1.0 }', answer: JSON_ANSWER }))
  else if (!BINARY.test(operation)) cases.push(call(operation, { ...parts, answer: JSON_ANSWER }))

  if (BINARY.test(operation)) {
    const answer = sized('HTTP/1.1 200 OK', ['Content-Type: application/octet-stream'], EVERY_BYTE.repeat(40))
    cases.push(call(`${operation} gives bytes`, { ...parts, ...(method === 'POST' && { body: '{}' }), answer }))
  }
  if (STREAMS.test(operation)) {
    const streaming = FORMS.test(operation) ? { ...parts, ...form() } : { ...json, body: '{"stream":true}' }
    cases.push(call(`${operation} streams`, { ...streaming, answer: events(1, 4) }))
  }
  if (operation === 'GET /responses/{}' || operation === 'GET /agents/sessions/{}/events') {
    const resumed = `${target}?stream=true&starting_after=2`
    const headers: Header[] = [...SDK_HEADERS, ['Accept', 'text/event-stream'], ['Last-Event-ID', '2']]
    cases.push(call(`${operation} resumes a stream`, { ...parts, headers, target: resumed, answer: events(3, 5) }))
  }
  if (WEBRTC.test(operation)) cases.push(offer(`${operation} opens a call by SDP`, target))
  return cases
}

function offer(title: string, target: string): Call {
  const headers: Header[] = [['Content-Type', 'application/sdp']]
  const lines = ['Content-Type: application/sdp', 'Location: /v1/realtime/calls/rtc_1']
  return call(title, { method: 'POST', target, headers, body: SDP, answer: sized('HTTP/1.1 201 Created', lines, SDP) })
}

function form(): Pick<Call, 'headers' | 'body'> {
  const boundary = 'formdata-undici-0123456789'
  const head = `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\nContent-Type: audio/wav`
  const body = `${head}\r\n\r\n${EVERY_BYTE}\r\n--${boundary}\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n--${boundary}--\r\n`
  return { headers: [...SDK_HEADERS, ['Content-Type', `multipart/form-data; boundary=${boundary}`]], body }
}

function events(first: number, last: number): Answer {
  const numbers = Array.from({ length: last - first + 1 }, (_each, index) => first + index)
  const texts = numbers.map((number) => `event: delta\nid: ${number}\ndata: {"sequence_number":${number}}\n\n`)
  return streamed('HTTP/1.1 200 OK', EVENTS, [...texts, 'data: [DONE]\n\n'])
}

/** What the official SDK sends with everything. */
const SDK_HEADERS: readonly Header[] = [
  ['Accept', 'application/json'],
  ['User-Agent', 'OpenAI/JS 7.57.0'],
  ['X-Stainless-Lang', 'js'],
  ['X-Stainless-Retry-Count', '0'],
  ['OpenAI-Beta', 'assistants=v2'],
  ['Idempotency-Key', 'stainless-node-retry-1'],
]

/** Ways in which files are fetched. */
export function fileCases(): Call[] {
  const target = '/files/id_1-A/content'
  const range: Header[] = [
    ['Range', 'bytes=2-5'],
    ['If-Range', '"v1"'],
  ]
  const partial = ['Content-Type: audio/wav', 'Content-Range: bytes 2-5/9', 'Accept-Ranges: bytes', 'ETag: "v1"']
  const etag: Header[] = [['If-None-Match', 'W/"v1"']]
  return [
    call('a part of a file', {
      target,
      headers: range,
      answer: sized('HTTP/1.1 206 Partial Content', partial, 'cdef'),
    }),
    call('a part that is not there', {
      target,
      headers: [['Range', 'bytes=99-']],
      answer: sized('HTTP/1.1 416 Range Not Satisfiable', ['Content-Range: bytes */9']),
    }),
    call('a file that has not changed', {
      target,
      headers: etag,
      answer: plain('HTTP/1.1 304 Not Modified', ['ETag: W/"v1"', 'Cache-Control: no-store']),
    }),
    call('a file that has not changed, of stated length', {
      target,
      headers: etag,
      answer: plain('HTTP/1.1 304 Not Modified', ['ETag: W/"v1"', 'Content-Length: 9']),
    }),
    call('the head of a file', {
      method: 'HEAD',
      target,
      answer: plain('HTTP/1.1 200 OK', ['Content-Length: 1234', 'Content-Type: audio/wav']),
    }),
    call('the head of a file that is not there', {
      method: 'HEAD',
      target,
      answer: plain('HTTP/1.1 404 Not Here', ['Content-Length: 77', 'Content-Type: application/json']),
    }),
    call('a deletion that answers nothing', {
      method: 'DELETE',
      target,
      answer: plain('HTTP/1.1 204 No Content', ['X-Request-Id: req_2']),
    }),
    call('a long file in chunks', {
      target,
      answer: streamed('HTTP/1.1 200 OK', [], [EVERY_BYTE.repeat(400), 'x', EVERY_BYTE.repeat(700)]),
    }),
  ]
}
