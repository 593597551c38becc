import type { AcmeDirectory } from '../acme/index.ts'
import type { Report } from './events.ts'
import type { Records } from './records.ts'

/** Where an authority's clock and ours differ by less, ours is believed. */
const TOLERANCE_MS = 10 * 60_000

/** Notes how an authority's clock differs from ours, because lifetimes are reckoned by it. */
export async function noteClockOffset(
  records: Records,
  { url, clockOffsetMs }: AcmeDirectory,
  report: Report,
): Promise<void> {
  if (clockOffsetMs === undefined) return
  const offset = Math.abs(clockOffsetMs) < TOLERANCE_MS ? 0 : clockOffsetMs
  const { clockOffsetMs: known } = await records.readLimits()
  // It is measured to the second; only a clock that was set is news.
  if (offset === known || (offset !== 0 && Math.abs(offset - known) < TOLERANCE_MS)) return
  await records.changeLimits((limits) => ({ ...limits, clockOffsetMs: offset }))
  if (offset === 0) return
  const by = `${Math.round(Math.abs(offset) / 60_000)} minutes ${offset > 0 ? 'behind' : 'ahead of'}`
  report('warning', `The clock of this machine is ${by} that of ${new URL(url).host}: set it.`, { directory: url })
}
