import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Dispatcher } from 'undici'
import { createAnswer } from './answer.ts'
import type { Answer } from './answer.ts'
import { createLeakGuard } from './leak-guard.ts'
import { readBody } from './request-body.ts'

/** One call to be passed on. The upstream is the key's, never the request's. */
export interface RelayCall {
  readonly request: IncomingMessage
  readonly response: ServerResponse
  /** The upstream's origin, `https://api.openai.com`. */
  readonly origin: string
  /** The upstream's path and query, byte for byte as the client sent them after the prefix. */
  readonly path: string
  /** Flat list of names and values, see `services/headers.ts`. */
  readonly headers: string[]
  /** Headers of our own for the answer, a flat list. */
  readonly answerHeaders: readonly string[]
  /** The upstream key, which must not come back. */
  readonly key: string
  /** Called once, just before the first byte of the answer is written. */
  readonly beforeHead: () => void
}

/** How a call ended. */
export interface RelayOutcome {
  /** `complete`; `client gone`; `cut` by the upstream or because the key appeared; `ended` by a revocation. */
  readonly end: 'complete' | 'client gone' | 'cut' | 'ended'
  /** Status that was written; undefined when nothing was. */
  readonly status: number | undefined
  readonly bytes: number
  readonly cause?: unknown
}

/** A call that is under way. */
export interface RunningRelay {
  /**
   * Resolves when the call is over. Rejects with a `SoakpError`, nothing having been written, when the upstream failed
   * before it answered or gave an answer that must not be passed on.
   */
  readonly outcome: Promise<RelayOutcome>
  /** Ends the call at once: the upstream's connection is closed, the client's answer is cut. */
  readonly end: () => void
}

/**
 * Passes one call on with exactly one upstream request, and its answer back as it comes. A client that leaves ends the
 * upstream request; an answer that was cut short arrives cut short.
 */
export function relay(dispatcher: Dispatcher, call: RelayCall): RunningRelay {
  const guard = createLeakGuard(call.key)
  const answer = createAnswer(call, guard)
  void send(dispatcher, call, answer)
  return { outcome: answer.outcome.finally(() => guard.end()), end: answer.end }
}

/** Never rejects: what goes wrong ends the answer, which may be over before the body has been read. */
async function send(
  dispatcher: Dispatcher,
  { request, origin, path, headers }: RelayCall,
  answer: Answer,
): Promise<void> {
  try {
    // undici takes iterators and any method; its types name neither.
    const body = (await readBody(request)) as Buffer | null
    const method = request.method as Dispatcher.HttpMethod
    if (!answer.isOver()) dispatcher.dispatch({ origin, path, method, headers, body }, answer.handler)
  } catch (error) {
    answer.fail(error)
  }
}
