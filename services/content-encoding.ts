// Not by name: Node 20 has no zstdDecompress and would stop before it can be told that it is too old.
import zlib from 'node:zlib'
import { hasErrorCode } from './errors.ts'

/** A decoded error answer may be this long. */
const MOST_BYTES = 1_048_576

/** Nobody encodes more often. */
const MOST_ENCODINGS = 3

/** Members of gzip and frames of zstd may follow each other; nobody writes more of them into one error. */
const MOST_FRAMES = 64

interface DecoderOptions {
  readonly maxOutputLength: number
  readonly finishFlush: number
  readonly info: true
}

interface Decoded {
  readonly buffer: Buffer
  readonly engine: { readonly bytesWritten: number }
}

type Decoder = (body: Buffer, options: DecoderOptions, done: (error: Error | null, decoded: Buffer) => void) => void

interface Coding {
  readonly decode: Decoder
  readonly finishFlush: number
}

const { Z_SYNC_FLUSH, BROTLI_OPERATION_FLUSH, ZSTD_e_flush } = zlib.constants
const GZIP = { decode: zlib.gunzip, finishFlush: Z_SYNC_FLUSH }

// A Map, because the name comes from the upstream and an object also has `constructor`.
const codings = new Map<string, readonly Coding[]>([
  ['gzip', [GZIP]],
  ['x-gzip', [GZIP]],
  // Some servers leave the frame of RFC 1950 out, and clients take that, too.
  ['deflate', [zlib.inflate, zlib.inflateRaw].map((decode) => ({ decode, finishFlush: Z_SYNC_FLUSH }))],
  ['br', [{ decode: zlib.brotliDecompress, finishFlush: BROTLI_OPERATION_FLUSH }]],
  ['zstd', [{ decode: zlib.zstdDecompress, finishFlush: ZSTD_e_flush }]],
])

/**
 * Decodes a body, or the beginning of one, for searching it; `encodings` is the value of `Content-Encoding`. Returns
 * undefined when it is encoded more than three times or decodes to more than 1 MiB. Of what is damaged, clients read what
 * comes before the damage, so that is returned, too, before what could not be decoded.
 */
export async function readableBody(body: Buffer, encodings: string): Promise<Buffer | undefined> {
  const names = encodings.toLowerCase().split(',')
  if (names.length > MOST_ENCODINGS) return undefined
  let readable = body
  try {
    for (const name of names.toReversed()) readable = await decodeFrames(readable, codings.get(name.trim()) ?? [])
  } catch (error) {
    if (hasErrorCode(error, 'ERR_BUFFER_TOO_LARGE')) return undefined
    throw error
  }
  return readable
}

/** Decodes frame after frame, and leaves what is none at the end as it is. */
async function decodeFrames(body: Buffer, choices: readonly Coding[]): Promise<Buffer> {
  const parts: Buffer[] = []
  let rest = body
  let bytes = 0
  while (rest.length > 0) {
    const { decoded, taken } = await decodeFirst(rest, choices)
    if (taken === 0) break
    parts.push(decoded)
    bytes += decoded.length
    if (bytes > MOST_BYTES || parts.length > MOST_FRAMES) throw tooLarge()
    rest = rest.subarray(taken)
  }
  return parts.length === 0 ? body : Buffer.concat([...parts, rest])
}

/** Decodes as many bytes as one of the codings takes. */
async function decodeFirst(body: Buffer, choices: readonly Coding[]): Promise<{ decoded: Buffer; taken: number }> {
  for (const coding of choices) {
    const whole = await attempt(coding, body)
    if (whole !== undefined) return { decoded: whole.buffer, taken: whole.engine.bytesWritten }
    const { buffer } = (await decodeUndamaged(coding, body)) ?? {}
    if (buffer !== undefined && buffer.length > 0) return { decoded: Buffer.concat([buffer, body]), taken: body.length }
  }
  return { decoded: body, taken: 0 }
}

/** Decodes the longest beginning that is not damaged: zlib drops with an error what it had decoded. */
async function decodeUndamaged(coding: Coding, body: Buffer): Promise<Decoded | undefined> {
  let decoded: Decoded | undefined
  let good = 0
  let bad = body.length
  while (bad - good > 1) {
    const middle = (good + bad) >> 1
    const result = await attempt(coding, body.subarray(0, middle))
    if (result === undefined) bad = middle
    else good = middle
    decoded = result ?? decoded
  }
  return decoded
}

/** Returns undefined for what is damaged. */
function attempt({ decode, finishFlush }: Coding, body: Buffer): Promise<Decoded | undefined> {
  return new Promise((resolve, reject) => {
    decode(body, { maxOutputLength: MOST_BYTES, finishFlush, info: true }, (error, decoded) => {
      if (error === null) resolve(decoded as unknown as Decoded)
      else if (hasErrorCode(error, 'ERR_BUFFER_TOO_LARGE')) reject(error)
      else resolve(undefined)
    })
  })
}

function tooLarge(): Error {
  return Object.assign(new Error('the decoded body is too large'), { code: 'ERR_BUFFER_TOO_LARGE' })
}
