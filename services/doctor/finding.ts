import { scrub } from '../log-fields.ts'

/** How a check ended. `skipped` means that it could not be made because an earlier one found a fault. */
export type Status = 'ok' | 'warning' | 'fault' | 'skipped'

/** What a check found, in sentences, and what to do about it. */
export interface Finding {
  readonly check: string
  readonly status: Status
  readonly message: string
  readonly remedy: string | null
}

/** A finding before it is known whose it is. */
export type Result = Omit<Finding, 'check'>

/** Makes the result of a check that found nothing wrong. */
export function ok(message: string): Result {
  return { status: 'ok', message, remedy: null }
}

/** Makes the result of a check that found something which works now and should be looked after. */
export function warning(message: string, remedy: string): Result {
  return { status: 'warning', message, remedy }
}

/** Makes the result of a check that found what keeps SOAKP or its callers from working. */
export function fault(message: string, remedy: string): Result {
  return { status: 'fault', message, remedy }
}

/** Makes the result of a check that could not be made. */
export function skipped(message: string): Result {
  return { status: 'skipped', message, remedy: null }
}

/**
 * Makes a result of an error whose message says what is wrong and then what to do, as those of SOAKP do: the first
 * sentence is the finding, the rest is the remedy; `otherwise` where there is no rest.
 */
export function faultOf(
  { message }: { readonly message: string },
  otherwise = 'The README describes this setting.',
): Result {
  const [, what = message, remedy = otherwise] = /^(.*?[.!?])\s+(?=[A-Z`])(.*)$/s.exec(message) ?? []
  return fault(what, remedy)
}

/** Returns a finding in which nothing looks like a credential. */
export function scrubbed({ message, remedy, ...rest }: Finding): Finding {
  return { ...rest, message: scrub(message), remedy: remedy === null ? null : scrub(remedy) }
}
