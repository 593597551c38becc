import type { AcmeConfiguration } from '../acme-configuration.ts'
import type { AcmeClient } from '../acme/index.ts'
import type { CertificatePair } from '../certificate-pair.ts'
import type { Challenger } from '../challenge/index.ts'
import type { Clock } from '../clock.ts'
import { SoakpError } from '../errors.ts'
import type { OwnSecrets } from '../own-secrets.ts'
import { createQueue } from '../queue.ts'
import { createAccounts } from './accounts.ts'
import { createTimeline } from './events.ts'
import { createFigures } from './figures.ts'
import { giveUpOrders } from './give-up.ts'
import type { CertificateEvent, Certificates } from './index.ts'
import { createKeeper } from './keeper.ts'
import { lookOut } from './outlook.ts'
import { createRecords } from './records.ts'
import type { CertificateRecord } from './records.ts'
import { renew } from './renewal.ts'
import type { RenewalTools } from './renewal.ts'
import { assertReason, revokeNoted } from './revocation.ts'
import { seconds } from './shown.ts'
import { describeStatus } from './status.ts'

/** What certificates are made with. */
export interface CertificatesOptions {
  readonly configuration: AcmeConfiguration
  readonly secrets: OwnSecrets
  readonly challenger: Challenger
  readonly createClient: (directoryUrl: string, accountKey: string) => AcmeClient
  readonly clock: Clock
  /** Makes the key and the request of each certificate, PEM. */
  readonly createRequest: (names: readonly string[]) => Promise<{ readonly csr: string; readonly key: string }>
  /** Hears of each event, and of the error behind one that tells of a failure. */
  readonly tell: (event: CertificateEvent, cause?: unknown) => void
}

/** The longest that `close` waits for what does not heed its signal. */
const CLOSE_LIMIT_MS = 1_500

/** Creates the engine. It does nothing before `start`, `renew` or `revoke`. */
export function createCertificates(options: CertificatesOptions): Certificates {
  const { configuration, clock, challenger } = options
  const stagingOf = (directory: string) => configuration.directories.find(({ url }) => url === directory)?.staging
  const records = createRecords(options.secrets)
  const timeline = createTimeline(records, clock, options.tell)
  const accounts = createAccounts(configuration, records, options.createClient, timeline.report)
  const figures = createFigures()
  const stopping = new AbortController()
  const { signal } = stopping
  let running: { readonly attempt: string; readonly phase: string; readonly since: number } | undefined
  let attempting: Promise<CertificateRecord | undefined> | undefined
  const queue = createQueue()
  let watching: Promise<void> | undefined

  const tools: RenewalTools = {
    configuration,
    records,
    accounts,
    challenger,
    clock,
    timeline,
    figures,
    signal,
    createRequest: options.createRequest,
    stagingOf,
    onLeftover: () => keeper.sweepLater(),
    onPhase: (attempt, phase) => void (running = { attempt, phase, since: seconds(clock.now()) }),
  }

  const look = (isManual: boolean) => lookOut(records, configuration, clock.now(), isManual, stagingOf)

  /** Attempts, sweeps and changes of keys never overlap: a sweep would remove what an attempt has just written. */
  function inTurn<Value>(work: () => Promise<Value>): Promise<Value> {
    return queue(async () => {
      signal.throwIfAborted()
      return work()
    })
  }

  /** Makes an attempt if one is due, or if an operator wants one; joins the one that runs. */
  function attemptRenewal(isManual: boolean): Promise<CertificateRecord | undefined> {
    attempting ??= inTurn(async () => {
      const outlook = await look(isManual)
      if (outlook.at > clock.now()) {
        if (isManual) throw heldOff(outlook.choice.reason)
        return undefined
      }
      const record = await renew(tools, outlook, isManual)
      if (record !== undefined) await keeper.use(record)
      return record
    }).finally(() => {
      attempting = undefined
      running = undefined
    })
    return attempting
  }

  const keeper = createKeeper({
    ...tools,
    inTurn,
    look,
    attemptRenewal: () => attemptRenewal(false),
    settleRevocation: () => settleRevocation(),
  })

  /** Ends a revocation that was begun, also by a process that was killed; tells whether there was one. */
  async function settleRevocation(): Promise<boolean> {
    const record = await records.readCertificate()
    if (record?.revoking === undefined) return false
    await revokeNoted(tools, record, record.revoking)
    await attempting?.catch(() => undefined)
    return inTurn(async () => {
      const revoked = { revokedAt: clock.now(), revoking: undefined }
      if (!(await records.changeCertificate(record, (stored) => ({ ...stored, ...revoked })))) return false
      // A key that has lain there is no new one.
      await giveUpOrders(tools, accounts)
      keeper.sweepLater()
      return true
    })
  }

  async function status() {
    const { certificate, plan, at, limits, choice } = await look(false)
    const events = await timeline.list()
    return describeStatus({
      names: configuration.names,
      certificate,
      plan,
      at,
      limits,
      delay: choice.reason,
      running,
      events,
      serving: keeper.isServing() ? 'acme' : watching === undefined ? 'none' : 'local',
      now: clock.now(),
    })
  }

  return {
    status,
    figures: () => figures.read(),
    begin: (take) => keeper.begin(take),

    start(use: (pair: CertificatePair) => Promise<void>) {
      watching ??= keeper.watch(use).catch(() => undefined)
    },

    async renew() {
      // One that was just found not to be due is none.
      const joined = await attempting
      if (joined === undefined) await attemptRenewal(true)
      keeper.wake()
      return status()
    },

    async revoke(reason) {
      assertReason(reason)
      const record = await records.readCertificate()
      if (record === undefined) {
        throw new SoakpError(409, 'SOAKP_CERTIFICATE_MISSING', 'There is no certificate that could be revoked.')
      }
      await records.changeCertificate(record, (stored) => ({ ...stored, revoking: reason }))
      const isRevoked = await settleRevocation()
      // What it fails of is in the status; the certificate is revoked all the same.
      if (isRevoked) await attemptRenewal(true).catch(() => undefined)
      keeper.wake()
      return status()
    },

    async changeAccountKeys() {
      await inTurn(async () => {
        const known = await records.listAccounts()
        const urls = configuration.directories.flatMap(({ url, staging }) =>
          staging === undefined ? [url] : [url, staging],
        )
        const changes: PromiseSettledResult<void>[] = []
        for (const directory of urls.filter((url) => typeof known[url]?.url === 'string')) {
          changes.push(...(await Promise.allSettled([accounts.changeKey(directory, signal)])))
        }
        // One that cannot be asked does not keep the others from theirs.
        for (const each of changes) if (each.status === 'rejected') throw each.reason
      })
      return status()
    },

    async close() {
      stopping.abort(new SoakpError(503, 'SOAKP_STOPPING', 'SOAKP stops; what is open is resumed by the next start.'))
      const limit = new AbortController()
      const ended = Promise.allSettled([watching, queue(async () => undefined)])
        .then(() => timeline.flush())
        .then(() => accounts.close())
      await Promise.race([ended, clock.sleep(CLOSE_LIMIT_MS, limit.signal).catch(() => undefined)])
      limit.abort()
    },
  }
}

function heldOff(reason: string | undefined): SoakpError {
  return new SoakpError(429, 'SOAKP_ACME_HELD', reason ?? 'No certificate authority may be asked now: see the status.')
}
