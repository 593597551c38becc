import { hostileFrames } from './frames.ts'
import { hostileConnection } from './http2.ts'
import { pieces } from './mutate.ts'
import { createRandom } from './random.ts'
import type { Random } from './random.ts'
import { hostileRequests, rightHandshake, rightRequest } from './requests.ts'
import { slowRequests, slowStreams } from './slow-clients.ts'
import { withWaits } from './steps.ts'
import type { Step } from './steps.ts'
import type { Target } from './target.ts'

/** What a client does in one case. */
export interface FuzzCase extends Manners {
  readonly kind: 'request' | 'upstream' | 'socket' | 'slow' | 'http2'
  readonly isHttp2: boolean
  /** What it writes, step by step. */
  readonly steps: readonly Step[]
  /** Whether a right call has to have its own answer right behind it. */
  readonly isFollowed: boolean
}

/** How a client takes what comes. */
export interface Manners {
  /** At once, with a pause behind each piece, or only when it leaves. */
  readonly reads: 'at once' | 'slowly' | 'late'
  /** It leaves after a moment, which often is before the answer; once an answer has begun; when it is closed; or breaks off. */
  readonly leaves: 'soon' | 'answered' | 'closed' | 'broken'
}

/** Makes a case; it depends on the seed and its index alone. */
export function makeCase(seed: number, index: number, { token, admin, secure }: Target): FuzzCase {
  const random = createRandom(seed, index)
  const names = { index, token, admin }
  const share = random.below(100)
  const isFollowed = random.percent(10)
  const write = (bytes: Buffer) => {
    const written = pieces(random, bytes)
    return random.percent(10) ? withWaits(random, written) : written
  }
  if (share < 12 && secure !== undefined) {
    const steps = write(hostileConnection(random, { ...names, token: secure.token }))
    return { kind: 'http2', isHttp2: true, steps, isFollowed: false, ...mannersOf(random) }
  }
  if (share < 17 && secure !== undefined) {
    const steps = slowStreams(random, { ...names, token: secure.token })
    return { kind: 'slow', isHttp2: true, steps, isFollowed: false, ...slowMannersOf(random) }
  }
  if (share < 22) {
    const steps = slowRequests(random, names)
    return { kind: 'slow', isHttp2: false, steps, isFollowed, ...slowMannersOf(random) }
  }
  if (share < 37) {
    const steps = [rightHandshake(names), ...write(hostileFrames(random, true, 'sk-guess'))]
    return { kind: 'socket', isHttp2: false, steps, isFollowed, ...mannersOf(random) }
  }
  if (share < 62) {
    const steps = [rightRequest(names, `/v1/case/${index}`)]
    return { kind: 'upstream', isHttp2: false, steps, isFollowed, reads: 'at once', leaves: 'closed' }
  }
  const steps = write(hostileRequests(random, names))
  return { kind: 'request', isHttp2: false, steps, isFollowed, ...mannersOf(random) }
}

function mannersOf(random: Random): Manners {
  return {
    reads: random.percent(95) ? 'at once' : random.pick(['slowly', 'late'] as const),
    leaves: random.percent(90) ? 'soon' : random.pick(['answered', 'broken'] as const),
  }
}

function slowMannersOf(random: Random): Manners {
  return {
    reads: random.pick(['at once', 'slowly', 'late']),
    leaves: random.pick(['closed', 'closed', 'soon', 'broken']),
  }
}
