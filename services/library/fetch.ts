import { request as startCall } from 'node:http'
import type { ClientRequest, IncomingMessage } from 'node:http'
import { Readable } from 'node:stream'
import type { Duplex } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import type { ReadableStream } from 'node:stream/web'

/** A function that is called as the global `fetch` is. */
export type Fetch = typeof globalThis.fetch

/** A form up to this size is sent with its length, a larger one as it is read. */
const SMALL_BYTES = 4_194_304

const WITHOUT_BODY = new Set([204, 205, 304])

/**
 * Creates a `fetch` whose every call goes to the connection that `connect` opens, whatever host the address names.
 * Redirects are handed on, not followed. An abort, or a body that is cancelled, closes the connection.
 */
export function createFetch(connect: () => Promise<Duplex>): Fetch {
  return async (input, init) => {
    const address = typeof input === 'string' && input.startsWith('/') ? `http://soakp.invalid${input}` : input
    const request = new Request(address, { duplex: 'half', ...init })
    const { signal } = request
    signal.throwIfAborted()
    const { pathname, search } = new URL(request.url)
    const body = await readBody(request, init?.body)
    const connection = await connect()
    const call = startCall({
      createConnection: () => connection,
      method: request.method,
      path: pathname + search,
      // Nothing is decoded here, so nothing encoded is asked for.
      headers: { ...Object.fromEntries(request.headers), 'accept-encoding': 'identity', ...lengthOf(body) },
    })
    let running: ClientRequest | IncomingMessage = call
    const abort = () => void running.destroy(asError(signal.reason))
    signal.addEventListener('abort', abort)
    connection.once('close', () => signal.removeEventListener('abort', abort))
    if (signal.aborted) abort()
    return new Promise((resolve, reject) => {
      call.on('error', reject)
      // An answer that turns the connection into a WebSocket is none; of its end nothing else tells.
      call.once('close', () => reject(new Error('The call was not answered.')))
      // At once: an answer that is broken off before anybody looks at it cannot become a response any more.
      call.once('response', (answer) => {
        running = answer
        try {
          resolve(asResponse(answer, request.method))
        } catch (error) {
          reject(asError(error))
          answer.destroy()
        }
      })
      send(call, body).catch(reject)
    })
  }
}

interface Body {
  readonly content: Uint8Array | ReadableStream | undefined
  /** Undefined when it is not known before the end. */
  readonly bytes: number | undefined
}

/** Takes what is in memory at once, with its length; everything else is read as it is sent. */
async function readBody(request: Request, given: unknown): Promise<Body> {
  if (request.body === null) return { content: undefined, bytes: 0 }
  if (given instanceof Blob) return { content: request.body, bytes: given.size }
  const isStream = given === undefined || given === null || isIterable(given)
  if (isStream || (given instanceof FormData && sizeOf(given) > SMALL_BYTES)) {
    return { content: request.body, bytes: undefined }
  }
  const content = new Uint8Array(await request.arrayBuffer())
  return { content, bytes: content.length }
}

function isIterable(body: unknown): boolean {
  return typeof body === 'object' && body !== null && Symbol.asyncIterator in body
}

function sizeOf(form: FormData): number {
  return [...form.values()].reduce((sum, value) => sum + (typeof value === 'string' ? value.length : value.size), 0)
}

function lengthOf({ content, bytes }: Body): Record<string, string> {
  return content === undefined || bytes === undefined ? {} : { 'content-length': String(bytes) }
}

/** Sends the body. An answer may come before all of it was taken, and is the answer all the same. */
async function send(call: ClientRequest, { content }: Body): Promise<void> {
  if (content === undefined || content instanceof Uint8Array) call.end(content)
  else await pipeline(Readable.fromWeb(content), call)
}

function asResponse(answer: IncomingMessage, method: string): Response {
  const { statusCode: status = 502, statusMessage: statusText = '', rawHeaders } = answer
  const headers = new Headers()
  for (let index = 0; index < rawHeaders.length; index += 2) {
    headers.append(rawHeaders[index] ?? '', rawHeaders[index + 1] ?? '')
  }
  const isEmpty = method === 'HEAD' || WITHOUT_BODY.has(status)
  if (isEmpty) answer.resume()
  return new Response(isEmpty ? null : asBody(answer), { status, statusText, headers })
}

/** As Node's `Readable.toWeb`, which ends the process when a body is cancelled whose next chunk has come already. */
function asBody(answer: IncomingMessage): globalThis.ReadableStream<Uint8Array> {
  const chunks: AsyncIterator<Uint8Array> = answer.iterator()
  return new globalThis.ReadableStream(
    {
      async pull(controller) {
        const { done, value } = await chunks.next()
        if (done === true) controller.close()
        else controller.enqueue(value)
      },
      cancel: (reason) => void answer.destroy(asError(reason)),
    },
    { highWaterMark: 0 },
  )
}

function asError(reason: unknown): Error {
  return reason instanceof Error ? reason : new Error('The call was aborted.', { cause: reason })
}
