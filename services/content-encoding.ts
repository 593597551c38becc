import { promisify } from 'node:util'
import { brotliDecompress, constants, gunzip, inflate, zstdDecompress } from 'node:zlib'
import { hasErrorCode } from './errors.ts'

/** A decoded error answer may be this long. */
const MOST_BYTES = 1_048_576

interface DecoderOptions {
  readonly maxOutputLength: number
  readonly finishFlush: number
}

type Decoder = (body: Buffer, options: DecoderOptions) => Promise<Buffer>

const decoders: Record<string, readonly [Decoder, number]> = {
  gzip: [promisify(gunzip), constants.Z_SYNC_FLUSH],
  'x-gzip': [promisify(gunzip), constants.Z_SYNC_FLUSH],
  deflate: [promisify(inflate), constants.Z_SYNC_FLUSH],
  br: [promisify(brotliDecompress), constants.BROTLI_OPERATION_FLUSH],
  zstd: [promisify(zstdDecompress), constants.ZSTD_e_flush],
}

/**
 * Decodes a body, or the beginning of one, for searching it. Returns undefined when it decodes to more than 1 MiB; a
 * body in no known encoding, or damaged, is returned as it is: nobody else can read it either.
 */
export async function readableBody(body: Buffer, encoding: string | undefined): Promise<Buffer | undefined> {
  const [decode, finishFlush] = decoders[encoding?.trim().toLowerCase() ?? ''] ?? []
  if (decode === undefined || finishFlush === undefined || body.length === 0) return body
  try {
    return await decode(body, { maxOutputLength: MOST_BYTES, finishFlush })
  } catch (error) {
    return hasErrorCode(error, 'ERR_BUFFER_TOO_LARGE') ? undefined : body
  }
}
