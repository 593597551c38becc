import { SoakpError } from './errors.ts'
import type { LiveCall } from './live-calls.ts'

/** How long a call may take, and how little its client may do of what is expected of it. */
export interface CallTimes {
  readonly callMs: number
  readonly clientIdleMs: number
  /** Of a request's body so much must come within each `clientIdleMs`; with 0, one byte is enough. */
  readonly bodyBytesPerSecond: number
}

interface Owed {
  readonly mark: string
  readonly sinceMs: number
}

/**
 * Creates a function that ends calls which take too long or whose client is silent or too slow, for all calls at once: a
 * timer for each would cost every call. It is called every second or so with what runs.
 */
export function createCallWatch(times: CallTimes): (calls: readonly LiveCall[], nowMs: number) => void {
  const { callMs, clientIdleMs } = times
  const leastBytes = Math.max(1, (times.bodyBytesPerSecond * clientIdleMs) / 1_000)
  const owed = new WeakMap<LiveCall, Owed>()

  /** Returns why a call's client is given up. */
  function faultOf(call: LiveCall, nowMs: number): SoakpError | undefined {
    const mark = call.owes?.()
    const before = owed.get(call)
    if (mark === undefined) owed.delete(call)
    else if (before === undefined || isEnough(before.mark, mark)) owed.set(call, { mark, sinceMs: nowMs })
    else if (nowMs - before.sinceMs < clientIdleMs) return undefined
    else return before.mark === mark ? clientSilent(clientIdleMs) : clientSlow(leastBytes, clientIdleMs)
    return undefined
  }

  function isEnough(before: string, mark: string): boolean {
    const [earlier, now] = [bodyBytes(before), bodyBytes(mark)]
    return earlier === undefined || now === undefined ? before !== mark : now - earlier >= leastBytes
  }

  return (calls, nowMs) => {
    for (const call of calls) {
      const fault = nowMs - call.startedMs >= callMs ? tookTooLong(callMs) : faultOf(call, nowMs)
      if (fault !== undefined) call.end(fault)
    }
  }
}

/** Returns the bytes of a body that a mark counts; undefined where it says something else. */
function bodyBytes(mark: string): number | undefined {
  const count = /^body after (\d+)$/.exec(mark)?.[1]
  return count === undefined ? undefined : Number(count)
}

function tookTooLong(callMs: number): SoakpError {
  const message = `The call took longer than ${callMs / 1_000} s, which is the most here (SOAKP_CALL_SECONDS).`
  return new SoakpError(504, 'SOAKP_CALL_TOO_LONG', message, { headers: { 'x-should-retry': 'false' } })
}

function clientSilent(idleMs: number): SoakpError {
  const message = `Nothing came of the request for ${idleMs / 1_000} s. Send the body without such pauses (SOAKP_CLIENT_IDLE_SECONDS).`
  return new SoakpError(408, 'SOAKP_REQUEST_TIMEOUT', message)
}

function clientSlow(leastBytes: number, idleMs: number): SoakpError {
  const message = `Less than ${leastBytes} bytes of the request came within ${idleMs / 1_000} s. Send the body faster (SOAKP_BODY_BYTES_PER_SECOND).`
  return new SoakpError(408, 'SOAKP_REQUEST_TIMEOUT', message)
}
