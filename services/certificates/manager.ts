import type { AcmeConfiguration } from '../acme-configuration.ts'
import type { AcmeClient } from '../acme/index.ts'
import type { CertificatePair } from '../certificate-pair.ts'
import type { Challenger } from '../challenge/index.ts'
import type { Clock } from '../clock.ts'
import { SoakpError } from '../errors.ts'
import type { OwnSecrets } from '../own-secrets.ts'
import { createAccounts } from './accounts.ts'
import { createTimeline } from './events.ts'
import { createFigures } from './figures.ts'
import { giveUpAuthorizations } from './give-up.ts'
import type { CertificateEvent, Certificates } from './index.ts'
import { createKeeper } from './keeper.ts'
import { lookOut } from './outlook.ts'
import { createRecords } from './records.ts'
import type { CertificateRecord } from './records.ts'
import { renew } from './renewal.ts'
import type { RenewalTools } from './renewal.ts'
import { assertReason, revokeCertificate } from './revocation.ts'
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
  let last: Promise<unknown> = Promise.resolve()
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
    onPhase: (attempt, phase) => void (running = { attempt, phase, since: Math.floor(clock.now() / 1000) }),
  }

  const look = (isManual: boolean) => lookOut(records, configuration, clock.now(), isManual, stagingOf)

  /** Attempts, sweeps and changes of keys never overlap: a sweep would remove what an attempt has just written. */
  function inTurn<Value>(work: () => Promise<Value>): Promise<Value> {
    const next = last.then(() => {
      signal.throwIfAborted()
      return work()
    })
    last = next.catch(() => undefined)
    return next
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

  const keeper = createKeeper({ ...tools, inTurn, look, attemptRenewal: () => attemptRenewal(false) })

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
      await revokeCertificate(accounts, record, reason, signal)
      timeline.report('certificate-revoked', `The certificate was revoked with reason ${reason}.`, {
        directory: record.directory,
      })
      await attempting?.catch(() => undefined)
      const isStored = await inTurn(async () => {
        const stored = await records.readCertificate()
        if (stored?.certificate !== record.certificate) return false
        await records.writeCertificate({ ...stored, revokedAt: clock.now() })
        // A key that has lain there is no new one.
        for (const order of await records.readOrders()) {
          await records.forgetOrder(order)
          await giveUpAuthorizations(tools, await accounts.open(order.directory), order).catch(() => undefined)
        }
        keeper.sweepLater()
        return true
      })
      // What it fails of is in the status; the certificate is revoked all the same.
      if (isStored) await attemptRenewal(true).catch(() => undefined)
      keeper.wake()
      return status()
    },

    async changeAccountKeys() {
      await inTurn(async () => {
        const known = await records.listAccounts()
        for (const directory of Object.keys(known)) {
          if (known[directory]?.url !== null) await accounts.changeKey(directory, signal)
        }
      })
      return status()
    },

    async close() {
      stopping.abort(new SoakpError(503, 'SOAKP_STOPPING', 'SOAKP stops; what is open is resumed by the next start.'))
      const limit = new AbortController()
      const ended = Promise.allSettled([watching, last])
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
