import type { CertificatePair } from '../certificate-pair.ts'
import { orAborted } from '../or-aborted.ts'
import { noteClockOffset } from './clock-offset.ts'
import { askForWindow } from './renewal-window.ts'
import { describeFailure } from './failures.ts'
import { giveUpAuthorizations } from './give-up.ts'
import { shortenedSetbacks } from './holds.ts'
import type { Outlook } from './outlook.ts'
import type { CertificateRecord } from './records.ts'
import type { RenewalTools } from './renewal.ts'
import { forgetStaleOrders } from './stale-orders.ts'
import { toPair } from './shown.ts'

/** Keeps the certificate in service fresh. */
export interface Keeper {
  /** Hands over what is stored; see `Certificates`. */
  begin(take: (pair: CertificatePair) => void): Promise<boolean>
  isServing(): boolean
  /** Takes a certificate into service. When that fails the one before goes on, and this one is tried again later. */
  use(record: CertificateRecord): Promise<void>
  /** Watches until the signal aborts. Never rejects. */
  watch(use: (pair: CertificatePair) => Promise<void>): Promise<void>
  /** Looks again now. */
  wake(): void
  /** Sweeps what the journal notes with the next look. */
  sweepLater(): void
}

/** What the keeper works with. */
export interface KeeperTools extends RenewalTools {
  inTurn<Value>(work: () => Promise<Value>): Promise<Value>
  look(isManual: boolean): Promise<Outlook>
  attemptRenewal(): Promise<CertificateRecord | undefined>
  /** Ends a revocation that was begun. */
  settleRevocation(): Promise<unknown>
}

const SECOND_MS = 1_000
const MINUTE_MS = 60_000
/** A machine may have slept, or its clock been set: it is looked again at least so often. */
const LONGEST_SLEEP_MS = 60 * MINUTE_MS
const LONGEST_WINDOW_PAUSE_MS = 25 * LONGEST_SLEEP_MS

/** Creates the keeper. */
export function createKeeper(tools: KeeperTools): Keeper {
  const { records, configuration, clock, signal, challenger, accounts, timeline } = tools
  let service: ((pair: CertificatePair) => Promise<void>) | undefined
  let served: string | undefined
  let useAgainAt = 0
  let useFailures = 0
  let mustSweep = true
  let left = 0
  let isTroubled = false
  let sleeping = new AbortController()

  async function use(record: CertificateRecord): Promise<void> {
    if (service === undefined || served === record.certificate) return
    try {
      await orAborted(signal, service(toPair(record)))
      served = record.certificate
      useFailures = 0
      timeline.report('certificate-used', 'The certificate was taken into service.', { directory: record.directory })
    } catch (error) {
      signal.throwIfAborted()
      useFailures += 1
      useAgainAt = clock.now() + Math.min(MINUTE_MS * 2 ** Math.min(useFailures - 1, 6), LONGEST_SLEEP_MS)
      const { code, message } = describeFailure(error)
      timeline.report('warning', `The certificate was not taken into service: ${message}`, { code }, error)
      throw error
    }
  }

  async function sweep(): Promise<void> {
    const stale = await forgetStaleOrders(tools)
    const keep = (await records.readOrders()).flatMap(({ values }) => values)
    const { removed, failed } = await orAborted(signal, challenger.sweep(keep, signal))
    if (removed.length > 0) {
      timeline.report('records-removed', `${removed.length} TXT records that were left behind were removed.`)
    }
    if (failed.length > 0 && failed.length !== left) {
      timeline.report('warning', `${failed.length} TXT records that were left behind could not be removed yet.`)
    }
    left = failed.length
    mustSweep = left > 0
    for (const order of stale) await giveUpAuthorizations(tools, await accounts.open(order.directory), order)
  }

  async function refreshWindow(): Promise<void> {
    const record = await records.readCertificate()
    if (record === undefined || !isTime(record.windowAgainAt)) return
    const client = await accounts.open(record.directory)
    const asked = await askForWindow(record, client, clock, timeline.report, signal)
    const { window, windowAgainAt } = asked.record
    await records.changeCertificate(record, (stored) => ({ ...stored, window, windowAgainAt }))
    if (record.windowAgainAt === 0 && asked.record.window === null) {
      const { at, plan } = await tools.look(false)
      const message = `The next renewal is planned for ${new Date(at).toISOString()}. ${plan.reason}`
      timeline.report('renewal-planned', message, { directory: record.directory })
    }
    if (asked.directory !== undefined) await noteClockOffset(records, asked.directory, timeline.report)
  }

  /** A time that is more than a day off was noted while the clock was wrong. */
  function isTime(at: number): boolean {
    return clock.now() >= at || at > clock.now() + LONGEST_WINDOW_PAUSE_MS
  }

  async function easeSetbacks(): Promise<void> {
    const { setbacks } = await records.readLimits()
    if (setbacks.length === 0) return
    await records.changeLimits((limits) => ({ ...limits, setbacks: shortenedSetbacks(limits.setbacks) }))
  }

  /** Does what is due; returns how long there is nothing to do. */
  async function step(): Promise<number> {
    if (mustSweep) await tools.inTurn(sweep).catch(ignoreUnlessAborted)
    await tools.settleRevocation().catch(ignoreUnlessAborted)
    const stored = await records.readCertificate()
    if (stored !== undefined) await lookAfter(stored)
    let outlook = await tools.look(false)
    if (outlook.at <= clock.now()) {
      await tools.attemptRenewal().catch(ignoreUnlessAborted)
      if (mustSweep) await tools.inTurn(sweep).catch(ignoreUnlessAborted)
      outlook = await tools.look(false)
      // Whatever an attempt was stopped by: it must not be repeated in a tight loop.
      if (outlook.at <= clock.now()) return MINUTE_MS
    }
    const { at, certificate } = outlook
    const isUnused = useFailures > 0
    return Math.min(at, certificate?.windowAgainAt ?? at, isUnused ? useAgainAt : at) - clock.now()
  }

  async function lookAfter(stored: CertificateRecord): Promise<void> {
    if (isTime(stored.windowAgainAt)) await tools.inTurn(refreshWindow).catch(ignoreUnlessAborted)
    if (isOfUse(stored) && isTime(useAgainAt)) await use(stored).catch(ignoreUnlessAborted)
  }

  /** The records cannot be read or written: that may pass, and is said once. */
  function reportTrouble(error: unknown): void {
    const { code, message } = describeFailure(error)
    if (!isTroubled) timeline.report('warning', `The certificate cannot be looked after: ${message}`, { code }, error)
    isTroubled = true
  }

  function ignoreUnlessAborted(): void {
    signal.throwIfAborted()
  }

  /** A certificate of other names is of no use; one with some of them is better than none. */
  function isOfUse({ names }: CertificateRecord): boolean {
    return names.some((name) => configuration.names.includes(name))
  }

  return {
    use,
    isServing: () => served !== undefined,
    wake: () => sleeping.abort(),
    sweepLater: () => void (mustSweep = true),

    async begin(take) {
      const stored = await records.readCertificate()
      if (stored === undefined || !isOfUse(stored)) return false
      take(toPair(stored))
      served = stored.certificate
      return true
    },

    async watch(taken) {
      service = taken
      let pauseMs = 0
      await easeSetbacks().catch(() => undefined)
      while (!signal.aborted) {
        sleeping = new AbortController()
        try {
          pauseMs = await step()
          isTroubled = false
        } catch (error) {
          if (!signal.aborted) reportTrouble(error)
          pauseMs = MINUTE_MS
        }
        const ended = AbortSignal.any([signal, sleeping.signal])
        const boundedMs = Math.min(Math.max(pauseMs, SECOND_MS), LONGEST_SLEEP_MS)
        await clock.sleep(boundedMs, ended).catch(() => undefined)
      }
    },
  }
}
