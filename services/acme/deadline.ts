import { AcmeError } from './error.ts'

/** How long some work may take, and what else ends it. */
export interface Deadline {
  readonly directory: string
  readonly timeoutMs: number
  readonly signal: AbortSignal
}

/**
 * Runs work with a signal that aborts with the caller's, or with an `AcmeError` when the time is over. The timer does not
 * keep the process alive.
 */
export async function withDeadline<Value>(
  { directory, timeoutMs, signal }: Deadline,
  work: (signal: AbortSignal) => Promise<Value>,
): Promise<Value> {
  signal.throwIfAborted()
  const timeout = new AbortController()
  const timer = setTimeout(() => timeout.abort(createTimeoutError(directory, timeoutMs)), timeoutMs).unref()
  try {
    return await work(AbortSignal.any([signal, timeout.signal]))
  } finally {
    clearTimeout(timer)
  }
}

function createTimeoutError(directory: string, timeoutMs: number): AcmeError {
  const message = `${new URL(directory).host} did not answer within ${timeoutMs / 1000} s: it is asked again later. Look whether this machine can connect to it.`
  return new AcmeError(directory, message)
}
