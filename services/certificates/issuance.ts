import { AcmeError } from '../acme/error.ts'
import type { AcmeOrder } from '../acme/index.ts'
import { createProblem } from '../acme/problem.ts'
import { describeProblem } from '../acme/refusal.ts'
import { orAborted } from '../or-aborted.ts'
import { assertAcceptable } from './accept.ts'
import type { Attempt, Session } from './attempt.ts'
import { giveUpAuthorizations } from './give-up.ts'
import { createOrder, resumeOrder } from './order.ts'
import type { Opened, OrderWish } from './order.ts'
import { poll } from './poll.ts'
import { proveNames } from './proof.ts'
import type { CertificateRecord } from './records.ts'
import { ValidationError } from './validation-error.ts'

/** What one attempt is to bring. */
export interface Issuance extends OrderWish {
  /** Only an order that is open already is brought to its end. */
  readonly resumeOnly: boolean
  /** When the present certificate ends, if the new one must not end before it. Unix milliseconds. */
  readonly longerThan: number | undefined
}

const FINALIZE_LIMIT_MS = 10 * 60_000
const CLOCK_TOLERANCE_MS = 5 * 60_000
/** Where the authority does not tell its time, ours may be a day or two behind. */
const BLIND_TOLERANCE_MS = 2 * 86_400_000

/**
 * Brings one order from its making, or from where it was left, to a stored certificate: `pending` until the names are
 * proved, `ready` until it is finalized, `processing`, `valid`. A trial ends there, and nothing is stored. Undefined
 * when there was nothing to resume. What it throws leaves the order noted if it can still be resumed.
 */
export async function issue(
  attempt: Attempt,
  session: Session,
  issuance: Issuance,
): Promise<CertificateRecord | 'proved' | undefined> {
  const { phase, records } = attempt
  const opened = await phase('order', async () => {
    const open = await resumeOrder(attempt, session, issuance)
    if (open !== undefined || issuance.resumeOnly) return open
    return createOrder(attempt, session, issuance)
  })
  if (opened === undefined) return undefined
  try {
    if (opened.order.status === 'pending') await proveNames(attempt, session, opened)
    const order = await phase('finalize', () => finalize(attempt, session, opened))
    if (issuance.purpose === 'trial') {
      await records.forgetOrder(opened.note)
      return 'proved'
    }
    const record = await phase('download', () => download(attempt, session, issuance, { ...opened, order }))
    await records.writeCertificate(record)
    await records.forgetOrder(opened.note)
    return record
  } catch (error) {
    await leave(attempt, session, opened, error).catch(() => undefined)
    throw error
  }
}

/** What still stands of an order's records when an attempt at it is over is left over, and must not wait for the next. */
async function leave(attempt: Attempt, { client }: Session, { note }: Opened, error: unknown): Promise<void> {
  const { records, signal } = attempt
  if (!isFinal(error)) {
    if (!signal.aborted) await records.writeOrder({ ...note, values: [] })
    return
  }
  await records.forgetOrder(note)
  const isOfNoAccount = error instanceof AcmeError && error.problem?.type === 'accountDoesNotExist'
  if (!isOfNoAccount) await giveUpAuthorizations(attempt, client, note)
}

async function finalize(
  { clock, signal }: Attempt,
  { client, directory }: Session,
  { order, note }: Opened,
): Promise<AcmeOrder> {
  const until = (isDone: (order: AcmeOrder) => boolean) =>
    poll({ clock, signal, limitMs: FINALIZE_LIMIT_MS, read: () => client.readOrder(order.url, signal), isDone })
  const before = await until(({ status }) => status !== 'pending')
  if (before.status === 'ready') await orAborted(signal, client.finalize(before, note.csr, signal))
  const after = await until(({ status, certificate }) =>
    status === 'valid' ? certificate !== undefined : status === 'invalid',
  )
  if (after.status === 'valid' && after.certificate !== undefined) return after
  const { host } = new URL(directory.url)
  if (after.status !== 'invalid') {
    throw new AcmeError(directory.url, `${host} did not issue within ten minutes; the order stays open.`)
  }
  const problem = after.error ?? createProblem('invalid', 'The order became invalid.')
  throw new AcmeError(directory.url, `${host} refused the order: ${describeProblem(problem)}`, { problem })
}

async function download(
  { clock, signal, report }: Attempt,
  { client, directory, account }: Session,
  { names, longerThan }: Issuance,
  { order, note }: Opened,
): Promise<CertificateRecord> {
  const certificate = await orAborted(signal, client.readCertificate(order.certificate ?? '', signal))
  const { clockOffsetMs } = directory
  assertAcceptable(certificate, {
    names,
    key: note.key,
    now: clock.now() + (clockOffsetMs ?? 0),
    toleranceMs: clockOffsetMs === undefined ? BLIND_TOLERANCE_MS : CLOCK_TOLERANCE_MS,
    longerThan,
  })
  report('certificate-issued', `A certificate for ${names.join(', ')} was issued.`, {
    duration_ms: clock.now() - note.createdAt,
  })
  return {
    certificate,
    key: note.key,
    names,
    directory: directory.url,
    account,
    profile: note.profile,
    issuedAt: clock.now(),
    revokedAt: null,
    jitter: clock.random(),
    window: null,
    windowAgainAt: 0,
  }
}

/** After these the order is worth nothing. */
function isFinal(error: unknown): boolean {
  if (error instanceof ValidationError) return true
  if (error instanceof AcmeError) {
    const { problem, answered = 200 } = error
    return (
      problem !== undefined && answered < 500 && !['rateLimited', 'orderNotReady', 'badNonce'].includes(problem.type)
    )
  }
  return error instanceof Error && 'code' in error && error.code === 'SOAKP_ACME_CERTIFICATE'
}
