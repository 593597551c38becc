import { SoakpError } from '../errors.ts'
import type { AcmeProblem } from './index.ts'

/**
 * A certificate authority refused, or could not be asked. The message says what was asked, what came of it in words and
 * what to do; `problem` is the authority's own answer, absent when there was none that could be understood.
 */
export class AcmeError extends SoakpError {
  readonly directory: string
  readonly problem: AcmeProblem | undefined
  /** Of a 429 or 503, or of the problem. */
  readonly retryAfterMs: number | undefined
  /** The HTTP status that was answered; undefined when nothing was. */
  readonly answered: number | undefined

  constructor(
    directory: string,
    message: string,
    details: {
      readonly problem?: AcmeProblem | undefined
      readonly retryAfterMs?: number | undefined
      readonly answered?: number | undefined
      readonly cause?: unknown
    } = {},
  ) {
    super(502, codeOf(details.problem), message, { cause: details.cause })
    this.directory = directory
    this.problem = details.problem
    this.retryAfterMs = details.retryAfterMs ?? details.problem?.retryAfterMs
    this.answered = details.answered
  }
}

/** `rateLimited` becomes `SOAKP_ACME_RATE_LIMITED`. */
function codeOf(problem: AcmeProblem | undefined): string {
  if (problem === undefined) return 'SOAKP_ACME_UNREACHABLE'
  const words = problem.type.replace(/[^A-Za-z\d]/g, '').replaceAll(/([a-z\d])([A-Z])/g, '$1_$2')
  return `SOAKP_ACME_${words === '' ? 'REFUSED' : words.toUpperCase()}`
}
