import type { IssuedCertificate } from './local-certificate.ts'

/** Keeps a certificate of the local authority in use, until another takes its place. */
export interface LocalRenewal {
  /** Whether a certificate of the local authority is what is served. */
  readonly isOn: boolean
  /** Issues one and has it used; from then on the next comes in time. */
  begin(): Promise<void>
  /** Gives way to another certificate: ends when `change` resolves, and goes on when it rejects. */
  giveWay(change: () => Promise<void>): Promise<void>
  close(): void
}

/** What a renewal works with. */
export interface LocalRenewalOptions {
  readonly issue: (now: Date) => Promise<IssuedCertificate>
  readonly use: (issued: IssuedCertificate) => Promise<void>
  /** Hears of a renewal that failed; it is tried again. */
  readonly fail: (error: unknown) => void
  /** Returns Unix milliseconds. */
  readonly now: () => number
  /** How often the time is looked at: every hour by default. */
  readonly pollMs?: number
}

const HOUR_MS = 3_600_000

/** Creates the renewal of the local authority's certificates. */
export function createLocalRenewal({ issue, use, fail, now, pollMs = HOUR_MS }: LocalRenewalOptions): LocalRenewal {
  let isOn = false
  let renewAt = Infinity
  let renewing: Promise<void> | undefined
  let timer: NodeJS.Timeout | undefined

  async function renew(): Promise<void> {
    const issued = await issue(new Date(now()))
    // Another may have taken its place meanwhile.
    if (isOn) await use(issued)
    renewAt = issued.renewAt
  }

  return {
    get isOn() {
      return isOn
    },

    async begin() {
      isOn = true
      await renew()
      timer = setInterval(() => {
        if (!isOn || now() < renewAt) return
        renewing ??= renew()
          .catch(fail)
          .finally(() => (renewing = undefined))
      }, pollMs).unref()
    },

    async giveWay(change) {
      const before = isOn
      // First, or a renewal could come after the change.
      isOn = false
      try {
        await change()
      } catch (error) {
        isOn = before
        throw error
      }
    },

    close: () => clearInterval(timer),
  }
}
