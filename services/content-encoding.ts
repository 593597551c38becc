import { promisify } from 'node:util'
// Not by name: Node 20 has no zstdDecompress and would stop before it can be told that it is too old.
import zlib from 'node:zlib'
import { hasErrorCode } from './errors.ts'

/** A decoded error answer may be this long. */
const MOST_BYTES = 1_048_576

/** Nobody encodes more often. */
const MOST_ENCODINGS = 3

interface DecoderOptions {
  readonly maxOutputLength: number
  readonly finishFlush: number
}

type Decoder = (body: Buffer, options: DecoderOptions, done: (error: Error | null, decoded: Buffer) => void) => void

// A Map, because the name comes from the upstream and an object also has `constructor`.
const decoders = new Map<string, readonly [decode: Decoder, finishFlush: number]>([
  ['gzip', [zlib.gunzip, zlib.constants.Z_SYNC_FLUSH]],
  ['x-gzip', [zlib.gunzip, zlib.constants.Z_SYNC_FLUSH]],
  ['deflate', [zlib.inflate, zlib.constants.Z_SYNC_FLUSH]],
  ['br', [zlib.brotliDecompress, zlib.constants.BROTLI_OPERATION_FLUSH]],
  ['zstd', [zlib.zstdDecompress, zlib.constants.ZSTD_e_flush]],
])

/**
 * Decodes a body, or the beginning of one, for searching it; `encodings` is the value of `Content-Encoding`. Returns
 * undefined when it is encoded more than three times or decodes to more than 1 MiB. What is in no known encoding, or
 * damaged, is returned as it is: nobody else can read it either.
 */
export async function readableBody(body: Buffer, encodings: string): Promise<Buffer | undefined> {
  const names = encodings.toLowerCase().split(',')
  if (names.length > MOST_ENCODINGS) return undefined
  let readable = body
  for (const name of names.toReversed()) {
    const [decode, finishFlush] = decoders.get(name.trim()) ?? []
    if (decode === undefined || finishFlush === undefined || readable.length === 0) continue
    try {
      readable = await promisify(decode)(readable, { maxOutputLength: MOST_BYTES, finishFlush })
    } catch (error) {
      return hasErrorCode(error, 'ERR_BUFFER_TOO_LARGE') ? undefined : readable
    }
  }
  return readable
}
