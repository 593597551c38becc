import type { Dispatcher } from 'undici'
import { readableBody } from './content-encoding.ts'
import type { SoakpError } from './errors.ts'
import { hasUnknownCoding, headerValues, reasonPhrase, responseHeaders } from './headers.ts'
import { cutAnswer, writeHead as writeHeadTo } from './http2.ts'
import type { LeakGuard } from './leak-guard.ts'
import type { RelayCall, RelayOutcome } from './relay.ts'
import { countPassed } from './spent-buffers.ts'
import { keyLeaked, keyRefused, upstreamError, upstreamMalformed, upstreamTimeout } from './upstream-errors.ts'

/** Error answers up to this size are read whole and searched for the key before their head is passed on. */
const ERROR_BYTES = 65_536

interface Head {
  readonly status: number
  readonly reason: string
  readonly headers: string[]
}

/** Receives an upstream's answer and writes it to the client. */
export interface Answer {
  readonly handler: Dispatcher.DispatchHandler
  /** See `RunningRelay`. */
  readonly outcome: Promise<RelayOutcome>
  readonly isOver: () => boolean
  /** Bytes of the answer's body that were written so far. */
  readonly bytes: () => number
  readonly fail: (error: unknown) => void
  readonly end: (why: SoakpError) => void
}

/** Creates the receiver of one answer. */
export function createAnswer(call: RelayCall, guard: LeakGuard): Answer {
  const { request, response } = call
  const { promise: outcome, resolve, reject } = Promise.withResolvers<RelayOutcome>()
  let abort: (() => void) | undefined
  let resume: () => void = () => {}
  let held: { head: Head; chunks: Buffer[]; bytes: number } | undefined
  let status: number | undefined
  let bytes = 0
  let isOver = false
  let startedAt = 0

  // While an earlier one is written, the response of a pipelined request has no connection and, before Node 24, no `close`.
  request.socket.setMaxListeners(0).once('close', onClose)
  response.once('close', onClose)
  response.on('drain', onDrain)
  if (request.socket.destroyed) onClose()

  /** Says that the call is over; false if it was before. */
  function settle(): boolean {
    if (isOver) return false
    isOver = true
    request.socket.off('close', onClose)
    response.off('close', onClose)
    response.off('drain', onDrain)
    return true
  }

  /** Ends both sides. */
  function finish(how: RelayOutcome['end'], cause?: unknown): void {
    if (!settle()) return
    resolve({ end: how, status, bytes, cause })
    if (how === 'complete') return
    abort?.()
    if (status === undefined) call.beforeHead()
    cutAnswer(response)
  }

  /** Gives the client a clean error while nothing has been written; later the answer can only be cut. */
  function fail(error: unknown): void {
    if (isOver) return
    if (request.errored !== null && !request.complete) return finish('client gone', error)
    if (status !== undefined) return finish('cut', error)
    settle()
    abort?.()
    reject(upstreamError(error))
  }

  function onClose(): void {
    finish('client gone')
  }

  function onDrain(): void {
    resume()
  }

  function writeHead(head: Head): void {
    writeHeadTo(response, head.status, head.reason, [...head.headers, ...call.answerHeaders])
    status = head.status
    call.beforeHead()
    // The first bytes of the body often come in the same packet; the head of a stream must not wait for them longer.
    queueMicrotask(flushHead)
  }

  function flushHead(): void {
    if (!isOver && bytes === 0) response.flushHeaders()
  }

  /** Writes what may leave; false asks the upstream to wait for the client. */
  function write(chunk: Buffer): boolean {
    const safe = guard.push(chunk)
    if (safe === undefined) {
      fail(keyLeaked())
      return false
    }
    if (safe.length === 0) return true
    bytes += safe.length
    countPassed(safe.length)
    return response.write(safe)
  }

  /** Passes a held error answer on if it is free of the key. */
  async function release(isWhole: boolean): Promise<void> {
    if (held === undefined || isOver) return
    const { head, chunks } = held
    held = undefined
    const body = Buffer.concat(chunks)
    try {
      const readable = await readableBody(body, headerValues(head.headers, 'content-encoding'))
      if (isOver) return
      if (readable === undefined || guard.isIn(readable)) return fail(keyLeaked())
      writeHead(head)
      const isTaken = body.length === 0 || write(body)
      if (isWhole) complete()
      else if (isTaken) resume()
    } catch (error) {
      fail(error)
    }
  }

  function complete(): void {
    if (isOver) return
    const rest = guard.rest()
    bytes += rest.length
    response.end(rest)
    finish('complete')
  }

  const handler: Dispatcher.DispatchHandler = {
    onConnect(abortUpstream) {
      abort = abortUpstream
      startedAt = performance.now()
      if (isOver) abortUpstream()
    },

    onHeaders(code, raw, resumeUpstream, reason) {
      if (isOver) return true
      if (code < 200) {
        // Each gives the upstream its time again, as undici counts it.
        if (performance.now() - startedAt > call.answerMs) fail(upstreamTimeout())
        return true
      }
      resume = resumeUpstream
      const head = { status: code, reason: reasonPhrase(reason), headers: responseHeaders(raw) }
      if (code === 401) fail(keyRefused())
      else if (hasUnknownCoding(raw)) fail(upstreamMalformed())
      else if (raw.some((each) => guard.isIn(each)) || guard.isIn(Buffer.from(reason))) fail(keyLeaked())
      else if (code >= 400 && !isPlainStream(head.headers)) held = { head, chunks: [], bytes: 0 }
      else writeHead(head)
      // These have no body, whatever their headers say (RFC 9112 section 6.3), but undici waits for one.
      if (code === 204 || code === 304) complete()
      return true
    },

    onData(chunk) {
      if (isOver) return true
      if (held === undefined) return write(chunk)
      held.chunks.push(chunk)
      held.bytes += chunk.length
      if (held.bytes <= ERROR_BYTES) return true
      void release(false)
      return false
    },

    onComplete() {
      if (held === undefined) complete()
      else void release(true)
    },

    onError: fail,
  }

  function end(why: SoakpError): void {
    if (status === undefined) fail(why)
    else finish('ended', why)
  }

  return { handler, outcome, isOver: () => isOver, bytes: () => bytes, fail, end }
}

/** An error that comes as events cannot be held back until it is whole, and need not: the guard reads along. */
function isPlainStream(headers: readonly string[]): boolean {
  const type = headerValues(headers, 'content-type')
  return type.startsWith('text/event-stream') && headerValues(headers, 'content-encoding') === ''
}
