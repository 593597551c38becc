import type { Hold, Setback } from './holds.ts'
import type { Spent } from './budget.ts'

/** What restrains the engine across restarts: what authorities said, how it failed, what it has used up. */
export interface Limits {
  readonly holds: readonly Hold[]
  readonly setbacks: readonly Setback[]
  readonly spent: readonly Spent[]
  /** Directories that are asked again only when their staging twin has been satisfied. */
  readonly trials: readonly string[]
  /** By how many milliseconds the authorities' clock is ahead of ours, as it was seen last; 0 when they agree. */
  readonly clockOffsetMs: number
}

/** Nothing restrains yet. */
export const noLimits: Limits = { holds: [], setbacks: [], spent: [], trials: [], clockOffsetMs: 0 }
