import { hostileFrames } from './frames.ts'
import { hostileConnection } from './http2.ts'
import { pieces } from './mutate.ts'
import { createRandom } from './random.ts'
import { hostileRequests, rightHandshake, rightRequest } from './requests.ts'
import type { Target } from './target.ts'

/** What a client does in one case. */
export interface FuzzCase {
  readonly kind: 'request' | 'upstream' | 'socket' | 'http2'
  /** What it writes, piece by piece. */
  readonly pieces: readonly Buffer[]
  /** When it leaves: after a moment, which often is before the answer, once an answer has begun, or when it is closed. */
  readonly leaves: 'soon' | 'answered' | 'closed'
  /** Whether a right call has to have its own answer right behind it. */
  readonly isFollowed: boolean
}

/** Makes a case; it depends on the seed and its index alone. */
export function makeCase(seed: number, index: number, { token, admin, secure }: Target): FuzzCase {
  const random = createRandom(seed, index)
  const names = { index, token, admin }
  const share = random.below(100)
  const isFollowed = random.percent(10)
  const write = (bytes: Buffer) => pieces(random, bytes)
  if (share < 12 && secure !== undefined) {
    const bytes = hostileConnection(random, { ...names, token: secure.token })
    return { kind: 'http2', pieces: write(bytes), leaves: 'soon', isFollowed: false }
  }
  if (share < 30) {
    const frames = write(hostileFrames(random, true, 'sk-guess'))
    return { kind: 'socket', pieces: [rightHandshake(names), ...frames], leaves: 'soon', isFollowed }
  }
  if (share < 60) {
    const request = rightRequest(names, `/v1/case/${index}`)
    return { kind: 'upstream', pieces: [request], leaves: 'closed', isFollowed }
  }
  const bytes = hostileRequests(random, names)
  const leaves = random.percent(5) ? 'answered' : 'soon'
  return { kind: 'request', pieces: write(bytes), leaves, isFollowed }
}
