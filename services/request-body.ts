import type { IncomingMessage } from 'node:http'
import type { BodyMeter } from './body-meter.ts'
import { hasBody } from './http2.ts'

/** Bodies up to this size are read first: one write, and half the cost of a stream. */
const SMALL_BYTES = 65_536

/**
 * Returns a request's body for undici: null when there is none, the bytes when the length is known and small, else an
 * iterator that reads as fast as the upstream takes. Throws when the client leaves while a small body is read. The meter
 * counts what is read and throws when it is too much.
 */
export async function readBody(
  request: IncomingMessage,
  meter: BodyMeter,
): Promise<Buffer | AsyncIterable<Buffer> | null> {
  if (!hasBody(request)) return null
  const length = request.headers['content-length']
  if (length === undefined || Number(length) > SMALL_BYTES) return readChunks(request, meter)
  const parts: Buffer[] = []
  meter.isWaiting = true
  for await (const chunk of iterate(request)) {
    meter.count(chunk)
    parts.push(chunk)
  }
  meter.isWaiting = false
  return parts.length === 1 && parts[0] !== undefined ? parts[0] : Buffer.concat(parts)
}

/**
 * Reads a body piece by piece. An upstream may answer before it has taken everything; what the client still sends is
 * then thrown away, so that it gets that answer and can use its connection again.
 */
async function* readChunks(request: IncomingMessage, meter: BodyMeter): AsyncGenerator<Buffer> {
  try {
    meter.isWaiting = true
    for await (const chunk of iterate(request)) {
      meter.count(chunk)
      meter.isWaiting = false
      yield chunk
      meter.isWaiting = true
    }
  } finally {
    meter.isWaiting = false
    request.resume()
  }
}

/** Leaving this iterator early does not destroy the client's connection, as leaving the request's own would. */
function iterate(request: IncomingMessage): AsyncIterable<Buffer> {
  return request.iterator({ destroyOnReturn: false })
}
