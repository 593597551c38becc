import { SoakpError } from './errors.ts'
import type { LiveCall } from './live-calls.ts'

/** How long a call may take, and how long its client may do nothing that is expected of it. */
export interface CallTimes {
  readonly callMs: number
  readonly clientIdleMs: number
}

interface Owed {
  readonly mark: string
  readonly sinceMs: number
}

/**
 * Creates a function that ends calls which take too long or whose client is silent, for all calls at once: a timer for
 * each would cost every call. It is called every second or so with what runs.
 */
export function createCallWatch({
  callMs,
  clientIdleMs,
}: CallTimes): (calls: readonly LiveCall[], nowMs: number) => void {
  const owed = new WeakMap<LiveCall, Owed>()

  function isSilent(call: LiveCall, nowMs: number): boolean {
    const mark = call.owes?.()
    const before = owed.get(call)
    if (mark === undefined) owed.delete(call)
    else if (before?.mark !== mark) owed.set(call, { mark, sinceMs: nowMs })
    else return nowMs - before.sinceMs >= clientIdleMs
    return false
  }

  return (calls, nowMs) => {
    for (const call of calls) {
      if (nowMs - call.startedMs >= callMs) call.end(tookTooLong(callMs))
      else if (isSilent(call, nowMs)) call.end(clientSilent(clientIdleMs))
    }
  }
}

function tookTooLong(callMs: number): SoakpError {
  const message = `The call took longer than ${callMs / 1_000} s, which is the most here (SOAKP_CALL_SECONDS).`
  return new SoakpError(504, 'SOAKP_CALL_TOO_LONG', message, { headers: { 'x-should-retry': 'false' } })
}

function clientSilent(idleMs: number): SoakpError {
  const message = `Nothing came of the request for ${idleMs / 1_000} s. Send the body without such pauses (SOAKP_CLIENT_IDLE_SECONDS).`
  return new SoakpError(408, 'SOAKP_REQUEST_TIMEOUT', message)
}
