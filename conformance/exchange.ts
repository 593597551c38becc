import type { Call } from './cases/case.ts'
import type { Header, Message } from './messages.ts'
import type { Progress } from './progress.ts'

/** What a client got. */
export interface Received {
  /** Undefined where the connection ended without an answer. */
  readonly status: number | undefined
  /** Undefined in HTTP/2, which has none. */
  readonly reason: string | undefined
  readonly headers: readonly Header[]
  readonly body: string
  readonly end: Message['end']
  /** Statuses of interim answers. */
  readonly interim: readonly number[]
  readonly trailers: readonly Header[]
  /** Bytes that came after the answer. */
  readonly extra: string
}

/** What both sides of a call saw. */
export interface Exchange {
  readonly requests: readonly Message[]
  readonly received: Received
  /** Whether the upstream noticed that the client left within the answer. */
  readonly hasNoticedLeaving: boolean
  /** Whether a piece of a body did not come until the next was sent, or the end. */
  readonly isHeldBack: boolean
}

/** What a client tells while it calls, and what it is told. */
export interface CallProgress {
  /** How much of the request's body the upstream has. */
  readonly received: Progress
  /** How much of the answer's body the client has. */
  readonly delivered: Progress
}

/** Sends calls by one version of HTTP. */
export interface Client {
  readonly send: (call: Call, progress: CallProgress) => Promise<Received>
  /** Ends what is under way. */
  readonly close: () => void
}

/** Returns what a client waits before it leaves: until the upstream has it all, or a while if that holds it back. */
export async function untilSent(progress: CallProgress, bytes: number): Promise<void> {
  await Promise.race([progress.received.reached(bytes), new Promise((resolve) => setTimeout(resolve, HELD_BACK_MS))])
}

const HELD_BACK_MS = 500

/** Nothing came. */
export const NOTHING: Received = {
  status: undefined,
  reason: undefined,
  headers: [],
  body: '',
  end: 'cut',
  interim: [],
  trailers: [],
  extra: '',
}
