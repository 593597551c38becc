import type { ServedReport } from '../challenge/index.ts'
import type { CertificateFigures } from './index.ts'

/** Collects the figures for metrics, since the start. */
export interface Figures {
  succeeded(): void
  failed(problem: string | null): void
  /** Begins with the phases of another attempt. */
  begin(): void
  phase(name: string, ms: number): void
  served(report: ServedReport): void
  read(): CertificateFigures
}

/** Bounds what authorities and name servers can make us keep. */
const MOST_KEPT = 100

/** Creates an empty collection. */
export function createFigures(): Figures {
  const attempts = { succeeded: 0, failed: 0 }
  const phases = new Map<string, number>()
  const lags = new Map<string, CertificateFigures['serverLag'][number]>()
  const problems = new Map<string, number>()

  return {
    succeeded: () => void (attempts.succeeded += 1),
    begin: () => phases.clear(),
    phase: (name, ms) => void phases.set(name, (phases.get(name) ?? 0) + ms),
    read: () => ({
      attempts: { ...attempts },
      phases: Object.fromEntries(phases),
      serverLag: [...lags.values()],
      problems: Object.fromEntries(problems),
    }),

    failed(problem) {
      attempts.failed += 1
      if (problem === null || (problems.size >= MOST_KEPT && !problems.has(problem))) return
      problems.set(problem, (problems.get(problem) ?? 0) + 1)
    },

    served({ servers }) {
      for (const { name, address, afterMs } of servers) {
        const key = `${name} ${address}`
        if (afterMs === null || (lags.size >= MOST_KEPT && !lags.has(key))) continue
        lags.set(key, { name, address, ms: afterMs })
      }
    },
  }
}
