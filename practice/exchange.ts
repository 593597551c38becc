import type { IncomingMessage, ServerResponse } from 'node:http'
import { PracticeError } from './errors.ts'
import { isJsonObject } from './json.ts'
import type { JsonObject } from './json.ts'

/** One request and the means to answer it: what an endpoint gets. */
export interface Exchange {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** The path without its query, as it came. */
  readonly path: string
  readonly query: URLSearchParams
  /** What stands in the path where the route says `:name`. */
  readonly params: Readonly<Record<string, string>>
  /** Is aborted when the answer is finished or the connection gone. */
  readonly signal: AbortSignal
  /** The pause between two events of a stream. */
  readonly chunkDelayMs: number
}

const jsonLimitBytes = 64 * 1024 * 1024

/** Reads the whole body into memory. Throws a 413 when it has more bytes than the limit. */
export async function readBody(request: IncomingMessage, limitBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of readChunks(request)) {
    size += chunk.length
    if (size > limitBytes) throw new PracticeError(413, `Maximum content size limit (${limitBytes}) exceeded.`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks)
}

/** Reads a body piece by piece; leaving early keeps the connection, so that an error can still be answered. */
export function readChunks(request: IncomingMessage): AsyncIterable<Buffer> {
  return request.iterator({ destroyOnReturn: false }) as AsyncIterableIterator<Buffer>
}

/** Reads a JSON body. Throws OpenAI's 400 when it is not JSON or not an object. */
export async function readJson({ request }: Exchange): Promise<JsonObject> {
  const body = await readBody(request, jsonLimitBytes)
  const value = parseJson(body.toString())
  if (isJsonObject(value)) return value
  throw new PracticeError(
    400,
    'We could not parse the JSON body of your request. (HINT: This likely means you aren’t using your HTTP library ' +
      'correctly. The OpenAI API expects a JSON payload, but what was sent was not valid JSON.)',
  )
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
