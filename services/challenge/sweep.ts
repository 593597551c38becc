import type { Journal, SweepReport } from './index.ts'
import type { Records } from './records.ts'

/** Removes what the journal notes, except the values of `keep`, one record after the other. Rejects only when aborted. */
export async function sweep(
  journal: Journal,
  records: Pick<Records, 'remove'>,
  keep: readonly string[],
  signal: AbortSignal,
): Promise<SweepReport> {
  const removed: SweepReport['removed'][number][] = []
  const failed: SweepReport['failed'][number][] = []
  for (const entry of await journal.list()) {
    if (keep.includes(entry.value)) continue
    try {
      await records.remove(entry.place, entry.value, signal)
      removed.push(entry)
    } catch (error) {
      signal.throwIfAborted()
      failed.push({ entry, error })
    }
  }
  return { removed, failed }
}
