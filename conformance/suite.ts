import type { Call } from './cases/case.ts'
import { allCalls } from './cases/index.ts'
import { socketCases } from './cases/sockets.ts'
import type { SocketCase } from './cases/sockets.ts'
import { compareCalls } from './comparison.ts'
import { fault } from './differences.ts'
import type { Difference } from './differences.ts'
import { doorOf } from './door.ts'
import type { Door } from './door.ts'
import { NOTHING } from './exchange.ts'
import type { Client, Exchange } from './exchange.ts'
import { createHttp1Client } from './http1.ts'
import { createHttp2Client } from './http2.ts'
import { createProgress } from './progress.ts'
import { compareSockets } from './socket-comparison.ts'
import { exchangeSocket } from './socket-exchange.ts'
import type { RecordingUpstream } from './upstream.ts'

/** How one case went. */
export interface Verdict {
  readonly title: string
  readonly differences: readonly Difference[]
}

/** What is tested, and by which version of HTTP. */
export interface Subject {
  readonly proxy: Door
  readonly isHttp2: boolean
}

/** Longer than any case takes. What is not over then hangs. */
const DEADLINE_MS = 4_000

/** What is sent. */
export interface Cases {
  readonly calls: readonly Call[]
  readonly sockets: readonly SocketCase[]
}

/** Makes all cases, or those whose title has a text in it. */
export async function chooseCases(text = ''): Promise<Cases> {
  const isChosen = ({ title }: { readonly title: string }) => title.includes(text)
  return { calls: (await allCalls()).filter(isChosen), sockets: socketCases().filter(isChosen) }
}

/** Runs all of it by one version of HTTP. */
export async function runSuite(
  upstream: RecordingUpstream,
  subject: Subject,
  { calls, sockets }: Cases,
): Promise<Verdict[]> {
  const verdicts = await runCalls(upstream, subject, calls)
  return subject.isHttp2 ? verdicts : [...verdicts, ...(await runSockets(upstream, subject.proxy, sockets))]
}

/** Sends each call straight to the upstream and through the proxy, and compares. */
async function runCalls(
  upstream: RecordingUpstream,
  { proxy, isHttp2 }: Subject,
  calls: readonly Call[],
): Promise<Verdict[]> {
  const direct = createHttp1Client(directDoor(upstream, proxy.token))
  const passing = isHttp2 ? createHttp2Client(proxy) : createHttp1Client(proxy)
  const verdicts: Verdict[] = []
  for (const call of calls) {
    if (isHttp2 && call.inHttp2 === false) continue
    const before = await exchange(upstream, direct, call)
    const after = await exchange(upstream, passing, call)
    const differences =
      before === undefined || after === undefined
        ? [hanging(before === undefined)]
        : compareCalls(call, before, after, { isHttp2, token: proxy.token })
    verdicts.push({ title: call.title, differences })
  }
  passing.close()
  return verdicts
}

/** Opens each WebSocket straight to the upstream and through the proxy, and compares. They are HTTP/1.1 only. */
async function runSockets(upstream: RecordingUpstream, proxy: Door, cases: readonly SocketCase[]): Promise<Verdict[]> {
  const direct = directDoor(upstream, proxy.token)
  const verdicts: Verdict[] = []
  for (const each of cases) {
    const before = await within(exchangeSocket(upstream, direct, each), DEADLINE_MS)
    const after = await within(exchangeSocket(upstream, proxy, each), DEADLINE_MS)
    const differences =
      before === undefined || after === undefined
        ? [hanging(before === undefined)]
        : compareSockets(each, before, after, proxy.token)
    verdicts.push({ title: each.title, differences })
  }
  return verdicts
}

function hanging(isDirect: boolean): Difference {
  return fault(`not over after ${DEADLINE_MS / 1_000} s ${isDirect ? 'even directly' : 'through the proxy'}`)
}

/** The upstream itself, under the path that is its base URL's. */
function directDoor({ baseUrl }: RecordingUpstream, token: string): Door {
  return doorOf(baseUrl, token)
}

/** Makes one call; undefined when it hangs. */
async function exchange(upstream: RecordingUpstream, client: Client, call: Call): Promise<Exchange | undefined> {
  const delivered = createProgress()
  const { answer, leavesAfter } = call
  const { requests, received, settled, left } = upstream.follow({ answer, delivered })
  const over = async (): Promise<Exchange> => {
    const got = await client.send(call, { received, delivered }).catch(() => NOTHING)
    if (requests.length > 0) await settled
    const hasLeft = leavesAfter !== undefined && requests.length > 0
    const hasNoticedLeaving =
      hasLeft &&
      (await within(
        left.then(() => true),
        1_000,
      )) === true
    return { requests, received: got, hasNoticedLeaving, isHeldBack: received.isLate() || delivered.isLate() }
  }
  const done = await within(over(), DEADLINE_MS)
  if (done === undefined) client.close()
  return done
}

/** Resolves to undefined when a promise takes too long. */
async function within<Result>(promise: Promise<Result>, milliseconds: number): Promise<Result | undefined> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((resolve) => {
    timer = setTimeout(() => resolve(undefined), milliseconds)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}
