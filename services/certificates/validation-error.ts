import { AcmeError } from '../acme/error.ts'
import type { AcmeAuthorization, AcmeProblem } from '../acme/index.ts'
import { describeProblem } from '../acme/refusal.ts'

/** An authority looked for the TXT records and was not satisfied. The message says for which name and why. */
export class ValidationError extends AcmeError {
  /** The domains that failed, without `*.`, one for each authorization. */
  readonly domains: readonly string[]

  constructor(directory: string, failed: readonly AcmeAuthorization[]) {
    const problems = failed.map(({ challenge }) => challenge?.error)
    const { host } = new URL(directory)
    const parts = failed.map((each, index) => `${nameOf(each)}: ${describe(each, problems[index])}`)
    super(directory, `${host} did not accept the proof for ${parts.join('; ')}`, { problem: merge(failed, problems) })
    this.domains = failed.map(({ domain }) => domain)
  }
}

/** An authorization's name as it stands in the certificate. */
export function nameOf({ domain, isWildcard }: Pick<AcmeAuthorization, 'domain' | 'isWildcard'>): string {
  return isWildcard ? `*.${domain}` : domain
}

function describe({ status }: AcmeAuthorization, problem: AcmeProblem | undefined): string {
  if (problem === undefined) return `the authorization is ${status}.`
  return describeProblem(problem)
}

/** One problem with those of the single names below it. */
function merge(
  failed: readonly AcmeAuthorization[],
  problems: readonly (AcmeProblem | undefined)[],
): AcmeProblem | undefined {
  const first = problems.find((each) => each !== undefined)
  if (first === undefined || failed.length === 1) return first
  const subproblems = failed.flatMap((each, index) => {
    const problem = problems[index]
    return problem === undefined ? [] : [{ type: problem.type, detail: problem.detail, name: nameOf(each) }]
  })
  return { ...first, subproblems }
}
