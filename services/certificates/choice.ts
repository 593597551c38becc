import { refusalOf } from './budget.ts'
import { heldUntil, setbackOf } from './holds.ts'
import type { Limits } from './limits.ts'

/** Which directory is asked next. */
export interface Choice {
  /** The one that the certificate is to be from, by its URL. */
  readonly directory: string
  /** The one that the attempt goes to: its staging twin while that is on trial. */
  readonly target: string
  readonly purpose: 'issue' | 'trial'
  /** Not before this time, Unix milliseconds; 0 for at once. */
  readonly at: number
  /** Why not before. */
  readonly reason: string | undefined
}

/** What the choice depends on. */
export interface ChoiceRequest {
  /** URLs in order of preference. */
  readonly directories: readonly string[]
  readonly names: readonly string[]
  readonly limits: Limits
  readonly now: number
  /** From when another than the preferred one may be asked, if that one fails. */
  readonly pressingFrom: number
  /** The directory that asked for the renewal (RFC 9773), whose limits do not count it. */
  readonly askedBy: string | undefined
  /** An operator asked: setbacks do not count. */
  readonly isManual: boolean
  readonly stagingOf: (directory: string) => string | undefined
}

/** Waiting as long as this for the preferred authority is better than another one. */
const SHORT_HOLD_MS = 15 * 60_000
const MOST_FAILURES = 2

/**
 * Chooses among the directories. The first is preferred; the next ones are asked when it, and all before them, hold us
 * off or refuse or have failed twice in a row for a reason of theirs, and the certificate is missing, useless or in the
 * last quarter of its lifetime.
 */
export function chooseDirectory(request: ChoiceRequest): Choice {
  const { directories, now, pressingFrom } = request
  const choices: Choice[] = []
  for (const [index, directory] of directories.entries()) {
    const choice = choiceOf(request, directory)
    choices.push(index === 0 ? choice : { ...choice, at: Math.max(choice.at, pressingFrom) })
    if (!isFailing(request, directory)) break
  }
  const soonest = choices.reduce((best, each) => (each.at < best.at ? each : best))
  const ready = choices.filter(({ at }) => at <= now)
  // An operator wants it now: the last one that was added is the first that does not fail.
  return (request.isManual ? ready.at(-1) : ready.at(0)) ?? soonest
}

function choiceOf(request: ChoiceRequest, directory: string): Choice {
  const { limits, names, now, stagingOf, askedBy, isManual } = request
  const staging = limits.trials.includes(directory) ? stagingOf(directory) : undefined
  const target = staging ?? directory
  const isPublic = stagingOf(target) !== undefined
  const setback = isManual ? undefined : setbackOf(limits.setbacks, directory, now)
  const refusal = refusalOf(limits.spent, { directory: target, names, isPublic, isAsked: askedBy === target }, now)
  const heldOff = heldUntil(limits.holds, target, names, now)
  const reasons = [
    { at: heldOff, reason: `${new URL(target).host} holds off until ${new Date(heldOff).toISOString()}.` },
    { at: refusal?.until ?? 0, reason: refusal?.reason },
    { at: setback?.until ?? 0, reason: 'The last attempt failed and is repeated then.' },
  ]
  const last = reasons.reduce((latest, each) => (each.at > latest.at ? each : latest))
  const reason = last.at > now ? last.reason : undefined
  return { directory, target, purpose: staging === undefined ? 'issue' : 'trial', at: last.at, reason }
}

function isFailing({ limits, names, now }: ChoiceRequest, directory: string): boolean {
  if (heldUntil(limits.holds, directory, names, now) > now + SHORT_HOLD_MS) return true
  const setback = setbackOf(limits.setbacks, directory, now)
  if (setback === undefined || setback.kind === 'ours') return false
  return setback.kind === 'refused' || setback.count >= MOST_FAILURES
}
