import { renewalIdOf } from './renewal-id.ts'
import type { AcmeClient, AcmeDirectory } from '../acme/index.ts'
import type { Clock } from '../clock.ts'
import { orAborted } from '../or-aborted.ts'
import type { Report } from './events.ts'
import type { CertificateRecord, ChosenWindow } from './records.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const SHORTEST_MS = 60_000
/** RFC 9773 section 4.3.3. */
const AFTER_FAILURE_MS = HOUR_MS
const WITHOUT_MS = DAY_MS

/** What asking for the window brought. */
export interface AskedWindow {
  readonly record: CertificateRecord
  /** Undefined when it did not answer. */
  readonly directory: AcmeDirectory | undefined
}

/**
 * Asks the authority when it wants the certificate to be renewed (RFC 9773). The point is chosen once for each window.
 * An authority that does not answer leaves things as they were.
 */
export async function askForWindow(
  record: CertificateRecord,
  client: AcmeClient,
  clock: Clock,
  report: Report,
  signal: AbortSignal,
): Promise<AskedWindow> {
  const again = (ms: number) => clock.now() + Math.min(Math.max(ms, SHORTEST_MS), DAY_MS)
  try {
    const directory = await orAborted(signal, client.readDirectory(signal))
    const id = directory.hasRenewalInfo ? renewalIdOf(record) : undefined
    const found = id === undefined ? undefined : await orAborted(signal, client.readRenewalWindow(id, signal))
    if (found === undefined || found.end < found.start) {
      return { record: { ...record, window: null, windowAgainAt: again(WITHOUT_MS) }, directory }
    }
    const { start, end, explanationUrl = null, retryAfterMs } = found
    const known = record.window
    const isKnown = known?.start === start && known.end === end
    const chosen = isKnown ? known.chosen : start + Math.floor(clock.random() * (end - start))
    const window: ChosenWindow = { start, end, chosen, explanationUrl }
    if (!isKnown) {
      const message = `The certificate authority asks for the renewal between ${iso(start)} and ${iso(end)}; ${iso(chosen)} was chosen.`
      report('renewal-planned', message, { directory: record.directory })
    }
    if (explanationUrl !== null && explanationUrl !== known?.explanationUrl) {
      const message = `The certificate authority explained the time of the renewal at ${explanationUrl}.`
      report('warning', message, { directory: record.directory })
    }
    return { record: { ...record, window, windowAgainAt: again(retryAfterMs) }, directory }
  } catch (error) {
    if (signal.aborted) throw error
    return { record: { ...record, windowAgainAt: again(AFTER_FAILURE_MS) }, directory: undefined }
  }
}

function iso(time: number): string {
  return new Date(time).toISOString()
}
