import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Dispatcher } from 'undici'
import { createAnswer } from './answer.ts'
import type { Answer } from './answer.ts'
import { createBodyMeter } from './body-meter.ts'
import type { BodyMeter } from './body-meter.ts'
import type { SoakpError } from './errors.ts'
import { untakenBytes } from './http2.ts'
import { createLeakGuard } from './leak-guard.ts'
import type { Owed } from './live-calls.ts'
import { readBody } from './request-body.ts'
import type { UpstreamPlaces } from './upstream-places.ts'

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
  /** Time that the upstream gets to answer, in milliseconds; interim answers do not begin it anew. */
  readonly answerMs: number
  /** The longest body that is passed on. */
  readonly mostBytes: number
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
  /** Ends the call at once: the upstream's connection is closed, the client's answer is cut, or the error if none began. */
  readonly end: (why: SoakpError) => void
  /** See `LiveCall`. */
  readonly owes: () => Owed | undefined
}

/**
 * Passes one call on with exactly one upstream request, and its answer back as it comes. A client that leaves ends the
 * upstream request; an answer that was cut short arrives cut short.
 */
export function relay({ dispatcher, places }: RelayPath, call: RelayCall): RunningRelay {
  const guard = createLeakGuard(call.key)
  const answer = createAnswer(call, guard)
  const meter = createBodyMeter(call.mostBytes)
  void send({ dispatcher, places }, call, answer, meter)

  function owes(): Owed | undefined {
    if (meter.isWaiting) return { of: 'body', bytes: meter.bytes }
    const untaken = untakenBytes(call.response)
    return untaken === 0 ? undefined : { of: 'answer', bytes: answer.bytes() - untaken }
  }

  return { outcome: answer.outcome.finally(() => guard.end()), end: answer.end, owes }
}

/** What leads to upstreams. */
export interface RelayPath {
  readonly dispatcher: Dispatcher
  readonly places: UpstreamPlaces
}

/** Never rejects: what goes wrong ends the answer, which may be over before the body has been read. */
async function send(
  { dispatcher, places }: RelayPath,
  { request, origin, path, headers }: RelayCall,
  answer: Answer,
  meter: BodyMeter,
): Promise<void> {
  try {
    const place = places.take(origin)
    answer.outcome.then(place.leave, place.leave)
    if (place.wait !== undefined) await place.wait
    // undici takes iterators and any method; its types name neither.
    const body = (await readBody(request, meter)) as Buffer | null
    const method = request.method as Dispatcher.HttpMethod
    if (!answer.isOver()) dispatcher.dispatch({ origin, path, method, headers, body }, answer.handler)
  } catch (error) {
    answer.fail(error)
  }
}
