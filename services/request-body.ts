import type { IncomingMessage } from 'node:http'

/** Bodies up to this size are read first: one write, and half the cost of a stream. */
const SMALL_BYTES = 65_536

/**
 * Returns a request's body for undici: null when there is none, the bytes when the length is known and small, else an
 * iterator that reads as fast as the upstream takes. Leaving the iterator early does not destroy the client's socket.
 * Throws when the client leaves while a small body is read.
 */
export async function readBody(request: IncomingMessage): Promise<Buffer | AsyncIterable<Buffer> | null> {
  const length = request.headers['content-length']
  if (length === undefined && request.headers['transfer-encoding'] === undefined) return null
  const chunks: AsyncIterable<Buffer> = request.iterator({ destroyOnReturn: false })
  if (length === undefined || Number(length) > SMALL_BYTES) return chunks
  const parts: Buffer[] = []
  for await (const chunk of chunks) parts.push(chunk)
  return parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts)
}
