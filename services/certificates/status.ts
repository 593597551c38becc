import type { CertificateEvent, CertificateStatus } from './index.ts'
import type { Limits } from './limits.ts'
import { liveHolds } from './holds.ts'
import type { CertificateRecord } from './records.ts'
import type { Plan } from './schedule.ts'
import { seconds, showCertificate, stateOf } from './shown.ts'

/** What the status is made of. Times are Unix milliseconds. */
export interface StatusParts {
  readonly names: readonly string[]
  readonly certificate: CertificateRecord | undefined
  readonly plan: Plan
  readonly at: number
  /** Why the next attempt is later than the plan wants it. */
  readonly delay: string | undefined
  readonly limits: Limits
  readonly running: CertificateStatus['running'] | undefined
  /** Newest first. */
  readonly events: readonly CertificateEvent[]
  readonly serving: CertificateStatus['serving']
  readonly now: number
}

/** Describes how things stand. */
export function describeStatus(parts: StatusParts): CertificateStatus {
  const { names, certificate, plan, at, delay, limits, running, events, serving, now } = parts
  const isDue = plan.at <= now
  const reason = isDue && delay !== undefined ? `${plan.reason} ${delay}` : plan.reason
  return {
    names,
    serving,
    state: stateOf(certificate, isDue, now + limits.clockOffsetMs),
    certificate: certificate === undefined ? null : showCertificate(certificate),
    next_renewal: { at: seconds(Math.max(at, now)), reason },
    running: running ?? null,
    holds: showHolds(limits, now),
    last_error: lastError(events),
    timeline: events,
  }
}

function showHolds({ holds, setbacks }: Limits, now: number): CertificateStatus['holds'] {
  return [...liveHolds(holds, now), ...setbacks.filter(({ until }) => until > now)].map((each) => ({
    directory: each.directory,
    until: seconds(each.until),
    reason: each.reason,
  }))
}

/** The failure of the last attempt; none when the last one succeeded. */
function lastError(events: readonly CertificateEvent[]): CertificateStatus['last_error'] {
  const last = events.find(({ kind }) => kind === 'attempt-failed' || kind === 'attempt-succeeded')
  if (last === undefined || last.code === null) return null
  const { at, code, problem, message } = last
  return { at, code, problem, message }
}
