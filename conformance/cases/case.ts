import type { DifferenceKind } from '../differences.ts'
import type { Header } from '../messages.ts'

/** What the upstream writes, byte for byte. */
export interface Answer {
  /** With several, each is written once the client has the body of those before, so what is held back is noticed. */
  readonly pieces: readonly string[]
  /** How many bytes of body each piece has, where there are several. */
  readonly bodyBytes?: readonly number[]
  /** What the upstream does after the last piece; without it the connection stays. */
  readonly end?: 'close' | 'reset'
  /** Answers as soon as the head of the request is there. */
  readonly isEarly?: boolean
}

/** One request and its answer. */
export interface Call {
  readonly title: string
  readonly method: string
  /** What follows the base path. */
  readonly target: string
  /** Headers besides `Host`, `Authorization` and those of the frame. */
  readonly headers: readonly Header[]
  /** Absent: no body and no length. Several pieces are sent in chunks, each once the upstream has those before. */
  readonly body?: string | readonly string[]
  readonly isChunked?: boolean
  /** The client rests for a moment after so many bytes of a body of known length, so that it comes in two reads. */
  readonly restsAfter?: number
  /** Trailers after a body in chunks, with their line ends. */
  readonly trailers?: string
  /** The client waits for `100 Continue` before it sends the body. */
  readonly expectsContinue?: boolean
  /** The client leaves after so many bytes of its body, or of the answer's. */
  readonly leavesAfter?: { readonly sent: number } | { readonly received: number }
  readonly answer: Answer
  /** Differences that are allowed in this case only. */
  readonly allows?: readonly DifferenceKind[]
  /** False where HTTP/2 cannot say it. */
  readonly inHttp2?: false
}

/** Makes an answer of a status line, header lines and a body, whose length is added. */
export function sized(line: string, headers: readonly string[] = [], body = ''): Answer {
  return { pieces: [head(line, [...headers, `Content-Length: ${body.length}`]) + body] }
}

/** Makes an answer of exactly these lines and these bytes. */
export function plain(line: string, headers: readonly string[] = [], body = ''): Answer {
  return { pieces: [head(line, headers) + body] }
}

/** Makes an answer in chunks that come one after the other. */
export function streamed(
  line: string,
  headers: readonly string[],
  chunks: readonly string[],
  trailers = '',
): Answer & { readonly bodyBytes: readonly number[] } {
  const start = head(line, [...headers, 'Transfer-Encoding: chunked'])
  const marked = chunks.map((each) => `${each.length.toString(16)}\r\n${each}\r\n`)
  const pieces = marked.map((each, index) => (index === 0 ? start + each : each))
  return { pieces: [...pieces, `0\r\n${trailers}\r\n`], bodyBytes: chunks.map((each) => each.length) }
}

/** Writes text as bytes, one character each. */
export function utf8(text: string): string {
  return Buffer.from(text).toString('latin1')
}

/** A short answer. */
export const OK = sized('HTTP/1.1 200 OK', ['Content-Type: application/json'], '{"ok":true}')

/** All the bytes there are. */
export const EVERY_BYTE = String.fromCharCode(...Array.from({ length: 256 }, (_each, index) => index))

/** A call with defaults: `GET /x`, no headers, no body, a short answer. */
export function call(title: string, parts: Partial<Call>): Call {
  return { title, method: 'GET', target: '/x', headers: [], answer: OK, ...parts }
}

function head(line: string, headers: readonly string[]): string {
  return [line, ...headers, '', ''].join('\r\n')
}
