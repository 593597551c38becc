import { promisify } from 'node:util'
// Not by name: Node 20 has no zstdDecompress and would stop before it can be told that it is too old.
import zlib from 'node:zlib'
import { hasErrorCode } from './errors.ts'

/** A decoded error answer may be this long. */
const MOST_BYTES = 1_048_576

interface DecoderOptions {
  readonly maxOutputLength: number
  readonly finishFlush: number
}

type Decode = (body: Buffer, options: DecoderOptions, done: (error: Error | null, decoded: Buffer) => void) => void

const decoders: Record<string, readonly [Decode, number]> = {
  gzip: [zlib.gunzip, zlib.constants.Z_SYNC_FLUSH],
  'x-gzip': [zlib.gunzip, zlib.constants.Z_SYNC_FLUSH],
  deflate: [zlib.inflate, zlib.constants.Z_SYNC_FLUSH],
  br: [zlib.brotliDecompress, zlib.constants.BROTLI_OPERATION_FLUSH],
  zstd: [zlib.zstdDecompress, zlib.constants.ZSTD_e_flush],
}

/**
 * Decodes a body, or the beginning of one, for searching it. Returns undefined when it decodes to more than 1 MiB; a
 * body in no known encoding, or damaged, is returned as it is: nobody else can read it either.
 */
export async function readableBody(body: Buffer, encoding: string | undefined): Promise<Buffer | undefined> {
  const [decode, finishFlush] = decoders[encoding?.trim().toLowerCase() ?? ''] ?? []
  if (decode === undefined || finishFlush === undefined || body.length === 0) return body
  try {
    return await promisify(decode)(body, { maxOutputLength: MOST_BYTES, finishFlush })
  } catch (error) {
    return hasErrorCode(error, 'ERR_BUFFER_TOO_LARGE') ? undefined : body
  }
}
