import { DIFFERENCES } from './differences.ts'
import type { Verdict } from './suite.ts'

/** How often something passed and failed. */
export interface Score {
  readonly passed: number
  readonly failed: number
}

/** Counts verdicts: a case fails by any difference that is not allowed. */
export function scoreOf(verdicts: readonly Verdict[]): Score {
  const failed = verdicts.filter(hasFailed).length
  return { passed: verdicts.length - failed, failed }
}

/** Writes what failed, and which differences were allowed and why. */
export function reportOf(title: string, verdicts: readonly Verdict[]): string {
  const faults = verdicts
    .filter(hasFailed)
    .flatMap((verdict) => [
      `  failed: ${verdict.title}`,
      ...verdict.differences.filter(({ kind }) => kind === undefined).map(({ what }) => `    ${what}`),
    ])
  const allowances = Object.entries(DIFFERENCES).flatMap(([kind, why]) => {
    const cases = verdicts.filter(({ differences }) => differences.some((each) => each.kind === kind)).length
    return cases === 0 ? [] : [`  ${kind.padEnd(12)}${String(cases).padStart(4)}  ${why}`]
  })
  const allowed =
    allowances.length === 0 ? [] : ['  Differences that are allowed, in how many cases, and why:', ...allowances]
  const limit = faults.some((line) => line.includes('became 429')) ? [LIMITED] : []
  return [`${title}: ${verdicts.length} cases`, ...faults, ...limit, ...allowed, ''].join('\n')
}

/** Writes the last line. */
export function scoreLine({ passed, failed }: Score): string {
  return `${passed} passed, ${failed} failed`
}

function hasFailed({ differences }: Verdict): boolean {
  return differences.some(({ kind }) => kind === undefined)
}

const LIMITED = "  The proxy's rate limit was met: the suite needs a token that may call some thousand times a minute."
