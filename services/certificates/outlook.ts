import type { AcmeConfiguration } from '../acme-configuration.ts'
import { sameNames } from '../certificate-names.ts'
import { liveSpent } from './budget.ts'
import { chooseDirectory } from './choice.ts'
import type { Choice } from './choice.ts'
import type { Limits } from './limits.ts'
import type { CertificateRecord, Records } from './records.ts'
import { planRenewal, pressingFrom } from './schedule.ts'
import type { Plan } from './schedule.ts'

/** What the records say is to be done next. */
export interface Outlook {
  readonly certificate: CertificateRecord | undefined
  readonly limits: Limits
  readonly plan: Plan
  readonly choice: Choice
  /** An order was left open though nothing is due: it is only brought to its end. */
  readonly resumeOnly: boolean
  /** When the next attempt is, Unix milliseconds; may be past. */
  readonly at: number
}

const DAY_MS = 86_400_000

/** Looks at the records. With `isManual` an operator wants a certificate now. */
export async function lookOut(
  records: Records,
  { names, directories }: Pick<AcmeConfiguration, 'names' | 'directories'>,
  now: number,
  isManual: boolean,
  stagingOf: (directory: string) => string | undefined,
): Promise<Outlook> {
  const [certificate, limits, orders] = await Promise.all([
    records.readCertificate(),
    records.readLimits(),
    records.readOrders(),
  ])
  const urls = directories.map(({ url }) => url)
  const { clockOffsetMs } = limits
  const recent = liveSpent(limits.spent, now).filter(
    ({ kind, at, names: got }) => kind === 'certificate' && at > now - DAY_MS && sameNames(got, names),
  ).length
  const plan = planRenewal({ certificate, names, directories: urls, clockOffsetMs, now, recent })
  const isDue = isManual || plan.at <= now
  const open = isDue ? undefined : orders.find((order) => isOpen(order.directory, order.names))
  const choice = chooseDirectory({
    // An order is resumed where it was made.
    directories: open === undefined ? urls : [open.directory],
    names,
    limits: open === undefined ? limits : { ...limits, trials: [] },
    now,
    pressingFrom: certificate === undefined || plan.isPressing ? 0 : pressingFrom(certificate, clockOffsetMs),
    askedBy: plan.isAsked ? certificate?.directory : undefined,
    isManual,
    stagingOf,
  })
  const at = isManual || open !== undefined ? choice.at : Math.max(plan.at, choice.at)
  return { certificate, limits, plan, choice, resumeOnly: open !== undefined, at }

  function isOpen(directory: string, ordered: readonly string[]): boolean {
    return urls.includes(directory) && sameNames(ordered, names)
  }
}
