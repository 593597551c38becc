import { AcmeError } from '../acme/error.ts'
import type { Clock } from '../clock.ts'
import { SoakpError } from '../errors.ts'
import { liveSpent } from './budget.ts'
import type { Choice } from './choice.ts'
import { holdOf, liveHolds, setbackAfter, setbackOf } from './holds.ts'
import type { Setback } from './holds.ts'
import type { Limits } from './limits.ts'
import { ValidationError } from './validation-error.ts'

/** A name more or less says nothing in a reason that is stored. */
const LONGEST_REASON = 500

/** What is shown of a failure. */
export interface ShownFailure {
  readonly code: string
  readonly problem: string | null
  readonly message: string
}

/** Returns what is shown of an error: SOAKP's sentences, and nothing of errors that were not written for people. */
export function describeFailure(error: unknown): ShownFailure {
  if (error instanceof SoakpError) {
    const problem = error instanceof AcmeError ? (error.problem?.type ?? null) : null
    return { code: error.code, problem, message: error.message }
  }
  const { name = 'unknown' } = error instanceof Error ? error : {}
  const code = error instanceof Error && 'code' in error ? ` ${String(error.code)}` : ''
  const message = `Something unforeseen happened (${name}${code}); it is tried again later.`
  return { code: 'SOAKP_CERTIFICATE_FAILED', problem: null, message }
}

/** Tells whether an authority said that it was asked too much. */
export function isRateLimited(error: unknown): boolean {
  return error instanceof AcmeError && (error.problem?.type === 'rateLimited' || error.answered === 429)
}

/** Returns the limits as a failed attempt leaves them. */
export function limitsAfterFailure(
  limits: Limits,
  error: unknown,
  { directory, target, purpose }: Choice,
  names: readonly string[],
  clock: Clock,
  stagingOf: (directory: string) => string | undefined,
): Limits {
  const now = clock.now()
  const others = limits.setbacks.filter((each) => each.directory !== directory)
  const failedDomains = error instanceof ValidationError ? error.domains : []
  const spent = failedDomains.map((domain) => ({
    kind: 'failed-validation' as const,
    directory: target,
    names: [domain],
    at: now,
  }))
  const next = { ...limits, spent: [...liveSpent(limits.spent, now), ...spent], holds: liveHolds(limits.holds, now) }
  // One whose times are short is asked ever more rarely all the same.
  const isHeld = error instanceof AcmeError && isRateLimited(error)
  const holds = isHeld ? [{ ...holdOf(error, names, now), directory: target }] : []
  const kind = kindOf(error)
  const setback = setbackAfter(
    setbackOf(limits.setbacks, directory, now),
    {
      directory,
      kind,
      reason: describeFailure(error).message.slice(0, LONGEST_REASON),
      retryAfterMs: error instanceof AcmeError ? error.retryAfterMs : undefined,
    },
    now,
    clock.random(),
  )
  const isTrialNext = kind === 'invalid' && stagingOf(directory) !== undefined
  const trials = without(limits.trials, directory)
  const keepsTrial = purpose === 'trial' && kind === 'ours'
  return {
    ...next,
    holds: [...next.holds, ...holds],
    setbacks: [...others, setback],
    // Staging that is busy or down is no reason to wait: the trial is left out then.
    trials: isTrialNext || keepsTrial ? [...trials, directory] : trials,
  }
}

/** Returns the limits as a success leaves them; after a trial the directory itself may be asked. */
export function limitsAfterSuccess(
  limits: Limits,
  { directory, target, purpose }: Choice,
  names: readonly string[],
  now: number,
): Limits {
  const trials = without(limits.trials, directory)
  // Failures go on counting: the trial was none of the directory's.
  if (purpose === 'trial') return { ...limits, trials }
  return {
    ...limits,
    trials,
    setbacks: limits.setbacks.filter((each) => each.directory !== directory),
    holds: liveHolds(limits.holds, now),
    spent: [...liveSpent(limits.spent, now), { kind: 'certificate', directory: target, names, at: now }],
  }
}

function kindOf(error: unknown): Setback['kind'] {
  if (error instanceof ValidationError) return 'invalid'
  if (isRateLimited(error)) return 'unreachable'
  if (error instanceof AcmeError) {
    const isTheirs = error.problem === undefined || (error.answered ?? 0) >= 500
    return isTheirs || ['serverInternal', 'badNonce'].includes(error.problem.type) ? 'unreachable' : 'refused'
  }
  const code = error instanceof SoakpError ? error.code : ''
  return ['SOAKP_ACME_CERTIFICATE', 'SOAKP_ACME_EXTERNAL_ACCOUNT'].includes(code) ? 'refused' : 'ours'
}

function without(list: readonly string[], item: string): string[] {
  return list.filter((each) => each !== item)
}
