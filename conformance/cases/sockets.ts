import { closeFrame, frame } from '../frames.ts'
import type { Frame } from '../frames.ts'
import type { Header } from '../messages.ts'
import { EVERY_BYTE, plain, sized, utf8 } from './case.ts'
import type { Answer } from './case.ts'
import type { DifferenceKind } from '../differences.ts'

/** Who sends next, and what; without frames, the connection is broken off. */
export interface SocketStep {
  readonly from: 'client' | 'upstream'
  readonly frames?: readonly Frame[]
}

/** A WebSocket from its handshake to its end. */
export interface SocketCase {
  readonly title: string
  readonly target: string
  readonly headers: readonly Header[]
  /** Subprotocols that are offered. */
  readonly protocols: readonly string[]
  /** Header lines of the upstream's 101. */
  readonly answerHeaders: readonly string[]
  /** What the upstream answers instead of 101. */
  readonly refusal?: Answer
  readonly steps: readonly SocketStep[]
  readonly allows?: readonly DifferenceKind[]
}

const client = (...frames: readonly Frame[]): SocketStep => ({ from: 'client', frames })
const upstream = (...frames: readonly Frame[]): SocketStep => ({ from: 'upstream', frames })
const CLOSE = client(closeFrame(1000))

function socket(title: string, parts: Partial<SocketCase>): SocketCase {
  const steps = [client(frame('text', '{"type":"x"}')), upstream(frame('text', '{"type":"y"}')), CLOSE]
  const target = '/realtime?model=gpt-realtime'
  return { title: `socket: ${title}`, target, headers: [], protocols: [], answerHeaders: [], steps, ...parts }
}

const CODES: readonly (readonly [number, string])[] = [
  [1000, ''],
  [1000, 'done'],
  [1001, 'going away'],
  [1008, utf8('grün 日')],
  [1011, 'x'.repeat(123)],
  [3000, 'r'],
  [4999, ''],
]

/** Makes the cases of WebSockets: the paths that have one, frames, ends both ways and refusals. */
export function socketCases(): SocketCase[] {
  const targets = ['/realtime?call_id=rtc_1', '/realtime?intent=transcription', '/realtime/translations', '/responses']
  const live = ['/live/sessions', '/live/sessions/live_1/attach', '/live/sessions/live_1/fork', '/a%2Fb//c?d=%20&&']
  return [
    ...[...targets, ...live].map((target) => socket(`at ${target}`, { target })),
    ...messageCases(),
    ...handshakeCases(),
    ...CODES.flatMap(([code, reason]) => [
      socket(`the client closes with ${code} ${reason.slice(0, 12)}`, { steps: [client(closeFrame(code, reason))] }),
      socket(`the upstream closes with ${code} ${reason.slice(0, 12)}`, {
        steps: [upstream(closeFrame(code, reason))],
      }),
    ]),
    socket('the client closes without a code', { steps: [client(closeFrame())] }),
    socket('the upstream closes without a code', { steps: [upstream(closeFrame())] }),
    socket('the client breaks off', { steps: [client(frame('text', 'a')), { from: 'client' }] }),
    socket('the upstream breaks off', { steps: [upstream(frame('text', 'a')), { from: 'upstream' }] }),
  ]
}

function messageCases(): SocketCase[] {
  const long = EVERY_BYTE.repeat(1_200)
  return [
    socket('text that no parser may touch', {
      steps: [
        client(frame('text', '{"a":1,"a":12345678901234567890, "b" : 1.0}\r\n')),
        upstream(frame('text', utf8('{"a":"é€😀\u2028"}')), frame('text', '')),
        CLOSE,
      ],
    }),
    socket('bytes', { steps: [client(frame('binary', EVERY_BYTE)), upstream(frame('binary', EVERY_BYTE)), CLOSE] }),
    socket('nothing as bytes', { steps: [client(frame('binary', '')), upstream(frame('binary', '')), CLOSE] }),
    socket('long messages', { steps: [client(frame('binary', long)), upstream(frame('binary', long)), CLOSE] }),
    socket('messages of 125, 126 and 65,536 bytes', {
      steps: [125, 126, 127, 65_535, 65_536].map((length) => client(frame('text', 'x'.repeat(length)))).concat(CLOSE),
    }),
    socket('many messages at once', {
      steps: [
        upstream(...Array.from({ length: 200 }, (_each, index) => frame('text', `{"n":${index}}`))),
        client(
          ...Array.from({ length: 200 }, (_each, index) => frame(index % 2 === 0 ? 'text' : 'binary', `${index}`)),
        ),
        CLOSE,
      ],
    }),
    socket('fragments of the client', {
      steps: [
        client(
          frame('text', utf8('é').slice(0, 1), false),
          frame('more', `${utf8('é').slice(1)}b`, false),
          frame('more', 'c'),
        ),
        CLOSE,
      ],
    }),
    socket('fragments of the upstream', {
      steps: [upstream(frame('binary', 'a', false), frame('more', '', false), frame('more', 'c')), CLOSE],
    }),
    socket('pings and pongs', {
      steps: [
        client(frame('ping', 'p1')),
        upstream(frame('pong', 'p1')),
        upstream(frame('ping', 'p2')),
        client(frame('pong', 'p2')),
        upstream(frame('pong', 'unasked')),
        client(frame('ping', '')),
        client(frame('ping', 'x'.repeat(125))),
        CLOSE,
      ],
    }),
    socket('a ping between fragments', {
      steps: [client(frame('text', 'a', false), frame('ping', 'p'), frame('more', 'b')), CLOSE],
    }),
  ]
}

function handshakeCases(): SocketCase[] {
  const error = '{"error":{"message":"no"}}'
  return [
    socket('a subprotocol is chosen', {
      protocols: ['realtime', 'other'],
      answerHeaders: ['Sec-WebSocket-Protocol: realtime'],
    }),
    socket('the second subprotocol is chosen', {
      protocols: ['realtime', 'other'],
      answerHeaders: ['Sec-WebSocket-Protocol: other'],
    }),
    socket('none of the subprotocols is chosen', { protocols: ['realtime'] }),
    socket('headers of the handshake', {
      headers: [
        ['OpenAI-Beta', 'realtime=v1'],
        ['x-Same', '1'],
        ['X-Empty', ''],
        ['User-Agent', 'Mine/1'],
        ['Cookie', 'a=b'],
      ],
      answerHeaders: ['X-Request-Id: req_1', 'x-Mixed: a', 'Set-Cookie: a=b'],
    }),
    ...[
      sized('HTTP/1.1 400 Bad', ['Content-Type: application/json'], error),
      sized('HTTP/1.1 403 Not You', ['X-Request-Id: r'], error),
      sized('HTTP/1.1 404 Nowhere', [], ''),
      sized('HTTP/1.1 429 Slow Down', ['Retry-After: 1'], error),
      sized('HTTP/1.1 503 Busy', ['Retry-After: 1'], error),
      plain('HTTP/1.1 302 Found', ['Location: /v1/other', 'Content-Length: 0']),
      sized('HTTP/1.1 200 OK', [], 'no socket here'),
    ].map((refusal) =>
      socket(`refused by ${refusal.pieces.join('').slice(9, 30).split('\r', 1).join('')}`, { refusal, steps: [] }),
    ),
    socket('refused because of the key', {
      refusal: sized('HTTP/1.1 401 Unauthorized', [], error),
      steps: [],
      allows: ['gateway'],
    }),
  ]
}
