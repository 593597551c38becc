import type { Wire } from './wire.ts'

/** Name and value of a header, as they were on the wire but for blanks around the value. */
export type Header = readonly [name: string, value: string]

/** A message as it came (RFC 9112), without the marks of its frame. */
export interface Message {
  /** The request line or status line. */
  readonly line: string
  readonly headers: readonly Header[]
  readonly body: string
  /** `open` while it is coming; `cut` when the connection ended before the message did. */
  readonly end: 'open' | 'complete' | 'cut'
  readonly trailers: readonly Header[]
}

/** A message that is being read. */
export interface IncomingMessage extends Message {
  body: string
  end: Message['end']
  trailers: readonly Header[]
}

/** Reads the head of the next message; undefined when there is none. */
export async function readHead(wire: Wire): Promise<IncomingMessage | undefined> {
  const text = await wire.readThrough('\r\n\r\n')
  if (text === undefined) return undefined
  const [line = '', ...lines] = text.slice(0, -4).split('\r\n')
  return { line, headers: lines.map(readHeader), body: '', end: 'open', trailers: [] }
}

/** Reads the body of a message to its end; `hasNone` where there is none, whatever the headers say. */
export async function readBody(
  wire: Wire,
  message: IncomingMessage,
  { hasNone = false, endsWithConnection = false, onBytes = (_bytes: number): void => undefined },
): Promise<void> {
  message.end = 'cut'
  const length = headerOf(message, 'content-length')
  if (hasNone) message.end = 'complete'
  else if (headerOf(message, 'transfer-encoding') !== undefined) await readChunks()
  else if (length !== undefined || !endsWithConnection) await readSized(Number(length ?? 0))
  else await readToEnd()

  async function readSized(bytes: number): Promise<void> {
    if (await take(bytes)) message.end = 'complete'
  }

  /** Takes so many bytes into the body; false when the connection ends before. */
  async function take(bytes: number): Promise<boolean> {
    for (let missing = bytes; missing > 0;) {
      const piece = await wire.read(missing)
      if (piece === '') return false
      message.body += piece
      missing -= piece.length
      onBytes(piece.length)
    }
    return true
  }

  async function readChunks(): Promise<void> {
    for (;;) {
      const size = Number.parseInt((await wire.readThrough('\r\n')) ?? '', 16)
      if (Number.isNaN(size)) return
      if (size === 0) return readTrailers()
      if (!(await take(size)) || (await wire.readThrough('\r\n')) !== '\r\n') return
    }
  }

  async function readTrailers(): Promise<void> {
    for (;;) {
      const line = await wire.readThrough('\r\n')
      if (line === undefined) return
      if (line === '\r\n') break
      message.trailers = [...message.trailers, readHeader(line.slice(0, -2))]
    }
    message.end = 'complete'
  }

  async function readToEnd(): Promise<void> {
    for (;;) {
      const piece = await wire.read(Number.POSITIVE_INFINITY)
      if (piece === '') break
      message.body += piece
      onBytes(piece.length)
    }
    if (wire.ending() === 'closed') message.end = 'complete'
  }
}

/** Returns the first value of a header; `name` is in lower case. */
export function headerOf({ headers }: Pick<Message, 'headers'>, name: string): string | undefined {
  return headers.find(([each]) => each.toLowerCase() === name)?.[1]
}

function readHeader(line: string): Header {
  const colon = line.indexOf(':')
  return [line.slice(0, colon), line.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, '')]
}
