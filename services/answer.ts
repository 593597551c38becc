import type { Dispatcher } from 'undici'
import { readableBody } from './content-encoding.ts'
import { SoakpError } from './errors.ts'
import { headerValue, responseHeaders } from './headers.ts'
import type { LeakGuard } from './leak-guard.ts'
import type { RelayCall, RelayOutcome } from './relay.ts'
import { upstreamError } from './upstream-errors.ts'

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
  readonly outcome: Promise<RelayOutcome>
  readonly isOver: () => boolean
  readonly fail: (error: unknown) => void
  readonly end: () => void
}

/** Creates the receiver of one answer. */
export function createAnswer(call: RelayCall, guard: LeakGuard): Answer {
  const { response } = call
  const { promise: outcome, resolve, reject } = Promise.withResolvers<RelayOutcome>()
  let abort: (() => void) | undefined
  let resume: () => void = () => {}
  let held: { head: Head; chunks: Buffer[]; bytes: number } | undefined
  let status: number | undefined
  let bytes = 0
  let isOver = false

  response.once('close', onClose)
  response.on('drain', onDrain)

  /** Ends both sides. Nothing happens after the first call. */
  function finish(how: RelayOutcome['end'], cause?: unknown): void {
    if (isOver) return
    isOver = true
    response.off('close', onClose)
    response.off('drain', onDrain)
    resolve({ end: how, status, bytes, cause })
    if (how === 'complete') return
    abort?.()
    if (status === undefined) call.beforeHead()
    response.destroy()
  }

  /** Gives the client a clean error while nothing has been written; later the answer can only be cut. */
  function fail(error: unknown): void {
    if (isOver) return
    if (call.request.errored !== null && !call.request.complete) return finish('client gone', error)
    if (status !== undefined) return finish('cut', error)
    isOver = true
    response.off('close', onClose)
    response.off('drain', onDrain)
    abort?.()
    reject(upstreamError(error))
  }

  function onClose(): void {
    finish('client gone')
  }

  function onDrain(): void {
    resume()
  }

  function writeHead({ status: code, reason, headers }: Head): void {
    response.writeHead(code, reason, [...headers, ...call.answerHeaders])
    status = code
    call.beforeHead()
    // An answer of unknown length is a stream: its head must not wait for the first event.
    if (headerValue(headers, 'content-length') === undefined) response.flushHeaders()
  }

  /** Writes what may leave; false asks the upstream to wait for the client. */
  function write(chunk: Buffer): boolean {
    const safe = guard.push(chunk)
    if (safe === undefined) {
      fail(leaked())
      return false
    }
    if (safe.length === 0) return true
    bytes += safe.length
    return response.write(safe)
  }

  /** Passes a held error answer on if it is free of the key. */
  async function release(isWhole: boolean): Promise<void> {
    if (held === undefined || isOver) return
    const { head, chunks } = held
    held = undefined
    const body = Buffer.concat(chunks)
    const readable = await readableBody(body, headerValue(head.headers, 'content-encoding'))
    if (isOver) return
    if (readable === undefined || guard.isIn(readable)) return fail(leaked())
    writeHead(head)
    if (body.length > 0) write(body)
    if (isWhole) complete()
    else resume()
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
      if (isOver) abortUpstream()
    },

    onHeaders(code, raw, resumeUpstream, reason) {
      if (isOver || code < 200) return true
      resume = resumeUpstream
      const head = { status: code, reason, headers: responseHeaders(raw) }
      if (code === 401) fail(keyRefused())
      else if (raw.some((each) => guard.isIn(each)) || guard.isIn(Buffer.from(reason))) fail(leaked())
      else if (code >= 400) held = { head, chunks: [], bytes: 0 }
      else writeHead(head)
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

  function end(): void {
    if (status === undefined) fail(tokenEnded())
    else finish('ended')
  }

  return { handler, outcome, isOver: () => isOver, fail, end }
}

function keyRefused(): SoakpError {
  const message = 'The upstream refuses the key behind this token. Whoever runs this SOAKP has to replace the key.'
  return new SoakpError(502, 'SOAKP_UPSTREAM_REFUSED_KEY', message, { headers: { 'x-should-retry': 'false' } })
}

function tokenEnded(): SoakpError {
  return new SoakpError(401, 'SOAKP_TOKEN_REFUSED', 'The token was revoked while the call was running.')
}

function leaked(): SoakpError {
  const message = 'The upstream sent the key back; its answer was withheld.'
  return new SoakpError(502, 'SOAKP_UPSTREAM_LEAK', message, { headers: { 'x-should-retry': 'false' } })
}
