import { randomBytes } from 'node:crypto'
import type { AcmeConfiguration } from '../acme-configuration.ts'
import { AcmeError } from '../acme/error.ts'
import type { Challenger } from '../challenge/index.ts'
import type { Clock } from '../clock.ts'
import { SoakpError } from '../errors.ts'
import type { Accounts } from './accounts.ts'
import type { Attempt, Session } from './attempt.ts'
import { refusalOf } from './budget.ts'
import type { Choice } from './choice.ts'
import { noteClockOffset } from './clock-offset.ts'
import type { Report, Timeline } from './events.ts'
import { describeFailure, isRateLimited, limitsAfterFailure, limitsAfterSuccess } from './failures.ts'
import type { Figures } from './figures.ts'
import { issue } from './issuance.ts'
import type { Issuance } from './issuance.ts'
import { renewalIdOf } from './renewal-id.ts'
import { lookOut } from './outlook.ts'
import type { Outlook } from './outlook.ts'
import type { Limits } from './limits.ts'
import type { CertificateRecord, Records } from './records.ts'
import { lifetimeOf } from './schedule.ts'

/** What renewals work with. */
export interface RenewalTools {
  readonly configuration: Pick<AcmeConfiguration, 'names' | 'directories' | 'profiles'>
  readonly records: Records
  readonly accounts: Accounts
  readonly challenger: Challenger
  readonly clock: Clock
  readonly timeline: Timeline
  readonly figures: Figures
  readonly signal: AbortSignal
  readonly createRequest: Issuance['createRequest']
  readonly stagingOf: (directory: string) => string | undefined
  /** Tells what is being done now. */
  readonly onPhase: (attempt: string, phase: string) => void
  /** Records could not be removed: they must be swept later. */
  readonly onLeftover: () => void
}

/**
 * Makes one attempt as the outlook says; after a trial that passed, the attempt proper at once. Resolves with the stored
 * certificate; undefined when it turned out that nothing is due. Failures are noted before they are thrown.
 */
export async function renew(
  tools: RenewalTools,
  outlook: Outlook,
  isManual: boolean,
): Promise<CertificateRecord | undefined> {
  const { clock, configuration, records, signal, stagingOf, figures, timeline } = tools
  const { choice } = outlook
  const { names } = configuration
  const id = `att_${randomBytes(9).toString('base64url')}`
  const report: Report = (kind, message, details, cause) =>
    timeline.report(kind, message, { attempt: id, directory: choice.target, ...details }, cause)
  const since = clock.now()
  figures.begin()
  report('attempt-started', startOf(outlook, isManual, tools))
  let outcome: CertificateRecord | 'proved' | undefined
  try {
    outcome = await run(tools, outlook, isManual, id, report)
  } catch (error) {
    if (signal.aborted) throw error
    await noteFailure(tools, choice, error, report, clock.now() - since)
    if (!isManual || choice.purpose === 'issue') throw error
    // Staging that cannot be asked must not keep an operator from what it is for.
    const next = await lookOut(records, configuration, clock.now(), isManual, stagingOf)
    if (next.choice.purpose === 'trial' || next.choice.at > clock.now()) throw error
    return renew(tools, next, isManual)
  }
  if (outcome === undefined) return undefined
  await records.changeLimits((limits) => limitsAfterSuccess(limits, choice, names, clock.now()))
  figures.succeeded()
  const what = outcome === 'proved' ? 'The trial at the staging directory passed.' : 'The attempt succeeded.'
  report('attempt-succeeded', what, { duration_ms: clock.now() - since })
  if (outcome !== 'proved') return outcome
  const next = await lookOut(records, configuration, clock.now(), isManual, stagingOf)
  // The trial was for this: what a hold delays is left to the next look.
  return next.choice.purpose === 'issue' && next.choice.at <= clock.now() ? renew(tools, next, isManual) : undefined
}

async function run(
  tools: RenewalTools,
  outlook: Outlook,
  isManual: boolean,
  id: string,
  report: Report,
): Promise<CertificateRecord | 'proved' | undefined> {
  const { accounts, clock, configuration, records, signal, stagingOf } = tools
  const { choice, certificate } = outlook
  const attempt = createAttempt(tools, id, report)
  const session = await attempt.phase('account', () => accounts.signIn(choice.target, signal))
  await noteClockOffset(records, session.directory, report)
  const now = await lookOut(records, configuration, clock.now(), isManual, stagingOf)
  if (!isManual && !now.resumeOnly && now.plan.at > clock.now()) {
    report('warning', 'The clock was wrong: by that of the certificate authority nothing is due yet.')
    return undefined
  }
  const issuance = issuanceOf(tools, outlook, session, isManual)
  try {
    return await issue(attempt, session, issuance)
  } catch (error) {
    if (!(error instanceof AcmeError) || error.problem?.type !== 'accountDoesNotExist') throw error
    const again = await accounts.signIn(choice.target, signal)
    return issue(attempt, again, issuanceOf(tools, { ...outlook, certificate }, again, isManual))
  }
}

function issuanceOf(
  { configuration, records, clock, createRequest, stagingOf }: RenewalTools,
  { certificate, choice, plan, resumeOnly }: Outlook,
  { account, directory }: Session,
  isManual: boolean,
): Issuance {
  const { names, profiles } = configuration
  const isOfThisAccount = certificate?.directory === directory.url && certificate.account === account
  const mayEndBefore = isManual || plan.isPressing || plan.isAsked || certificate?.directory !== directory.url
  return {
    purpose: choice.purpose,
    names,
    profiles,
    resumeOnly,
    replaces: isOfThisAccount ? renewalIdOf(certificate) : undefined,
    longerThan: mayEndBefore || certificate === undefined ? undefined : lifetimeOf(certificate).notAfter,
    createRequest,

    async assertAllowed(isAsked) {
      const { spent } = await records.readLimits()
      const isPublic = stagingOf(choice.target) !== undefined
      const order = { directory: choice.target, names, isPublic, isAsked: isAsked && plan.isAsked }
      const refusal = refusalOf(spent, order, clock.now())
      if (refusal !== undefined) throw new SoakpError(429, 'SOAKP_ACME_BUDGET', refusal.reason)
    },
  }
}

function createAttempt(tools: RenewalTools, id: string, report: Report): Attempt {
  const { clock, records, challenger, signal, figures, onPhase, onLeftover } = tools
  return {
    clock,
    records,
    challenger,
    signal,
    report,
    leftover: onLeftover,
    served: (served) => figures.served(served),

    async phase(name, step) {
      onPhase(id, name)
      const since = clock.now()
      try {
        return await step()
      } finally {
        figures.phase(name, clock.now() - since)
      }
    },
  }
}

async function noteFailure(
  { records, configuration, clock, figures, stagingOf }: RenewalTools,
  choice: Choice,
  error: unknown,
  report: Report,
  duration: number,
): Promise<void> {
  const failure = describeFailure(error)
  figures.failed(failure.problem)
  const { code, problem, message } = failure
  const { names } = configuration
  const change = (limits: Limits) => limitsAfterFailure(limits, error, choice, names, clock, stagingOf)
  // What cannot be stored holds in this process, and must not hide what the attempt failed of.
  await records.changeLimits(change).catch(() => undefined)
  report('attempt-failed', message, { code, problem, duration_ms: duration }, error)
  if (!isRateLimited(error)) return
  const until = (await records.readLimits()).holds.at(-1)?.until ?? clock.now()
  const { host } = new URL(choice.target)
  report('hold-set', `${host} is not asked before ${new Date(until).toISOString()}.`, { code, problem })
}

function startOf({ choice, plan, resumeOnly }: Outlook, isManual: boolean, { clock }: RenewalTools): string {
  if (choice.purpose === 'trial') return 'An attempt at the staging directory began, because the last one failed.'
  if (resumeOnly) return 'An attempt began, because an order was left open.'
  if (isManual && plan.at > clock.now()) return 'An attempt began, because it was asked for.'
  return `An attempt began. ${plan.reason}`
}
