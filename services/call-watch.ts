import { SoakpError } from './errors.ts'
import type { LiveCall, Owed } from './live-calls.ts'

/** How long a call may take, and how little its client may do of what is expected of it. */
export interface CallTimes {
  readonly callMs: number
  readonly clientIdleMs: number
  /** So much of a body must come, or of an answer be taken, within each `clientIdleMs`; with 0, one byte is enough. */
  readonly clientBytesPerSecond: number
}

interface Watched {
  readonly owed: Owed
  readonly sinceMs: number
}

/**
 * Creates a function that ends calls which take too long or whose client is silent or too slow, for all calls at once:
 * a timer for each would cost every call. It is called every second or so with what runs.
 */
export function createCallWatch(times: CallTimes): (calls: readonly LiveCall[], nowMs: number) => void {
  const { callMs, clientIdleMs } = times
  const leastBytes = Math.max(1, (times.clientBytesPerSecond * clientIdleMs) / 1_000)
  const watched = new WeakMap<LiveCall, Watched>()

  /** Returns why a call's client is given up. */
  function faultOf(call: LiveCall, nowMs: number): SoakpError | undefined {
    const owed = call.owes?.()
    const before = watched.get(call)
    if (owed === undefined) watched.delete(call)
    else if (before?.owed.of !== owed.of || owed.bytes - before.owed.bytes >= leastBytes) {
      watched.set(call, { owed, sinceMs: nowMs })
    } else if (nowMs - before.sinceMs >= clientIdleMs) {
      return owed.bytes === before.owed.bytes
        ? clientSilent(owed, clientIdleMs)
        : clientSlow(owed, leastBytes, clientIdleMs)
    }
    return undefined
  }

  return (calls, nowMs) => {
    for (const call of calls) {
      const fault = nowMs - call.startedMs >= callMs ? tookTooLong(callMs) : faultOf(call, nowMs)
      if (fault !== undefined) call.end(fault)
    }
  }
}

function tookTooLong(callMs: number): SoakpError {
  const message = `The call took longer than ${callMs / 1_000} s, which is the most here (SOAKP_CALL_SECONDS).`
  return new SoakpError(504, 'SOAKP_CALL_TOO_LONG', message, { headers: { 'x-should-retry': 'false' } })
}

function clientSilent({ of }: Owed, idleMs: number): SoakpError {
  const message = `Nothing ${of === 'body' ? 'of the body came' : 'of the answer was taken'} for ${idleMs / 1_000} s. Go on without such pauses, or have SOAKP_CLIENT_IDLE_SECONDS raised.`
  return new SoakpError(408, 'SOAKP_REQUEST_TIMEOUT', message)
}

function clientSlow({ of }: Owed, leastBytes: number, idleMs: number): SoakpError {
  const message = `Less than ${leastBytes} bytes ${of === 'body' ? 'of the body came' : 'of the answer were taken'} within ${idleMs / 1_000} s. Go on faster, or have SOAKP_CLIENT_BYTES_PER_SECOND lowered.`
  return new SoakpError(408, 'SOAKP_REQUEST_TIMEOUT', message)
}
