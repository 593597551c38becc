import type { Call } from './cases/case.ts'
import { allowed, fault, shown } from './differences.ts'
import type { Difference } from './differences.ts'
import type { Exchange, Received } from './exchange.ts'
import { compareHeaders } from './header-comparison.ts'
import type { Message } from './messages.ts'

/** How a call went through the proxy. */
export interface Circumstances {
  readonly isHttp2: boolean
  /** The caller's token, which the upstream must not see. */
  readonly token: string
}

/** Compares a call that went straight to the upstream with the same call through the proxy. */
export function compareCalls(call: Call, direct: Exchange, passed: Exchange, how: Circumstances): Difference[] {
  const refused = refusal(call, passed)
  if (refused !== undefined) return [refused]
  return [...compareRequests(call, direct, passed, how), ...compareAnswers(call, direct, passed, how)]
}

/** A refusal has cost the upstream nothing. */
function refusal({ allows = [] }: Call, { requests, received: { status = 0 } }: Exchange): Difference | undefined {
  if (!allows.includes('refusal') || requests.length > 0) return undefined
  return (status >= 400 && status < 500) || status === 501 || status === 505
    ? allowed('refusal', `refused by ${status}`)
    : undefined
}

/** What of a case the comparison needs. */
export type Compared = Pick<Call, 'title' | 'allows' | 'leavesAfter'> & { readonly answer?: Call['answer'] }

/** Compares what the upstream received. */
export function compareRequests(
  { title, answer }: Compared,
  direct: Exchange,
  passed: Exchange,
  how: Circumstances,
): Difference[] {
  const [before] = direct.requests
  const [after, ...more] = passed.requests
  if (before === undefined) throw new Error(`${title}: the upstream got nothing even directly`)
  if (after === undefined) {
    if (before.end === 'cut') return [allowed('framing', 'a body that was cut short was not sent')]
    return [fault(`nothing reached the upstream; the client got ${passed.received.status ?? 'no answer'}`)]
  }
  const differences: Difference[] = []
  if (more.length > 0) differences.push(fault(`one call became ${passed.requests.length} upstream calls`))
  if (before.line !== after.line) differences.push(fault(`${shown(before.line)} became ${shown(after.line)}`))
  if (everything(after).includes(how.token)) differences.push(fault("the caller's token reached the upstream"))
  differences.push(...compareHeaders(before.headers, after.headers, { of: 'request', isHttp2: how.isHttp2 }))
  differences.push(...compareSentBodies(before, after, answer?.isEarly === true), ...compareTrailers(before, after))
  if (direct.hasNoticedLeaving && !passed.hasNoticedLeaving) {
    differences.push(fault('the client left and the upstream call went on'))
  }
  if (passed.isHeldBack) differences.push(fault('a piece of a body was held back until more came'))
  return differences
}

function everything({ line, headers, body }: Message): string {
  return [line, ...headers.flat(), body].join('\n')
}

/** The rest of a body need not be sent to an upstream that has answered already. */
function compareSentBodies(before: Message, after: Message, isEarly: boolean): Difference[] {
  if (!isEarly || after.end !== 'cut') return compareBodies('the request', before, after)
  if (before.body.startsWith(after.body)) return [allowed('framing', 'the rest of the body was not sent')]
  return [fault(`the body of the request ${shown(before.body)} became ${shown(after.body)}`)]
}

/** Compares what the client got. */
export function compareAnswers(
  { allows = [], leavesAfter }: Compared,
  direct: Exchange,
  passed: Exchange,
  { isHttp2 }: Circumstances,
): Difference[] {
  // Who has left has got nothing to compare.
  if (leavesAfter !== undefined) return []
  const [before, after] = [direct.received, passed.received]
  if (allows.includes('gateway') && before.status !== after.status && after.end === 'complete') {
    if (after.status === 502) return [allowed('gateway', `${before.status ?? 'no answer'} became 502`)]
  }
  if (isHttp2 && (before.status ?? 0) > 599 && after.status === 502) {
    return [allowed('http2', `status ${before.status} became 502`)]
  }
  if (before.status !== after.status) {
    return [fault(`status ${before.status ?? 'none'} became ${after.status ?? 'none'}, ${shown(after.body)}`)]
  }
  return [
    ...compareReasons(before.reason, after.reason),
    ...compareHeaders(before.headers, after.headers, { of: 'answer', isHttp2 }),
    ...compareBodies('the answer', before, after),
    ...compareTrailers(before, after),
    ...compareInterim(before, after),
    ...(after.extra === before.extra ? [] : [fault(`after the answer came ${shown(after.extra)}`)]),
  ]
}

function compareReasons(before: string | undefined, after: string | undefined): Difference[] {
  if (before === after) return []
  const what = `the reason ${shown(before)} became ${shown(after)}`
  if (after === undefined) return [allowed('http2', what)]
  const [left, right] = [before, after].map((each) => each?.replaceAll(/[^ -~]/g, ''))
  return [left === right ? allowed('reason', what) : fault(what)]
}

function compareBodies(
  name: string,
  before: Pick<Message, 'body' | 'end'>,
  after: Pick<Message, 'body' | 'end'>,
): Difference[] {
  const differences: Difference[] = []
  if (before.end !== after.end) differences.push(fault(`${name} was ${before.end} and became ${after.end}`))
  // Of what is cut short, less may have got through.
  const isSame = before.body === after.body || (after.end === 'cut' && isBeginning(before.body, after.body))
  if (!isSame) differences.push(fault(`the body of ${name} ${shown(before.body)} became ${shown(after.body)}`))
  return differences
}

function isBeginning(one: string, other: string): boolean {
  return one.startsWith(other) || other.startsWith(one)
}

function compareTrailers(before: Pick<Message, 'trailers'>, after: Pick<Message, 'trailers'>): Difference[] {
  if (String(before.trailers) === String(after.trailers)) return []
  if (after.trailers.length === 0) return [allowed('interim', 'trailers are left out')]
  return [fault(`trailers ${shown(String(before.trailers))} became ${shown(String(after.trailers))}`)]
}

function compareInterim({ interim: before }: Received, { interim: after }: Received): Difference[] {
  if (String(before) === String(after)) return []
  const isSubset = after.every((status) => before.includes(status))
  const what = `interim answers ${shown(String(before))} became ${shown(String(after))}`
  return [isSubset ? allowed('interim', what) : fault(what)]
}
