import { sameNames } from '../certificate-names.ts'
import { leafOf } from './accept.ts'
import type { CertificateRecord } from './records.ts'

/** When the next certificate is to be got, and why then. */
export interface Plan {
  /** Unix milliseconds by our clock; 0 for at once. */
  readonly at: number
  /** A sentence for people. */
  readonly reason: string
  /** The authority asked for it (RFC 9773). */
  readonly isAsked: boolean
  /** There is no certificate that serves the configured names well, so that another authority's is better than none. */
  readonly isPressing: boolean
}

/** What the plan depends on. */
export interface Situation {
  readonly certificate: CertificateRecord | undefined
  /** As configured. */
  readonly names: readonly string[]
  /** URLs as configured. */
  readonly directories: readonly string[]
  /** By how many milliseconds the authority's clock is ahead of ours. */
  readonly clockOffsetMs: number
  /** Unix milliseconds by our clock. */
  readonly now: number
  /** How many certificates were got in the last day. */
  readonly recent: number
}

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS

/** Certificates that live shorter are renewed at half of it (https://letsencrypt.org/docs/integration-guide/). */
const SHORT_LIFETIME_MS = 10 * DAY_MS
/** Renewals are spread over this part of the lifetime, early ones. */
const JITTER = 1 / 30
/** Whatever the authority says, this much is left for retries. */
const MOST_RESERVE_MS = 5 * DAY_MS

/** Plans the next renewal. Lifetimes are reckoned in the authority's time, the answer is in ours. */
export function planRenewal(situation: Situation): Plan {
  const { certificate, names, directories, clockOffsetMs, now, recent } = situation
  if (certificate === undefined) return atOnce('There is no certificate yet.')
  const { notBefore, notAfter, lifetimeMs } = lifetimeOf(certificate)
  // A certificate that asks to be renewed again and again must not lead to a storm.
  const { issuedAt } = certificate
  const isOfWrongClock = issuedAt > now + HOUR_MS
  const rest = isOfWrongClock ? 0 : issuedAt + Math.max(MINUTE_MS, Math.min(recent ** 3 * MINUTE_MS, lifetimeMs / 4))
  const plan = (at: number, reason: string, more: Partial<Plan> = {}): Plan => {
    const local = at - clockOffsetMs
    return { at: Math.max(local, rest), reason, isAsked: false, isPressing: false, ...more }
  }
  if (certificate.revokedAt !== null) return atOnce('The certificate was revoked.')
  if (!sameNames(certificate.names, names))
    return atOnce('The configured names are others than those of the certificate.')
  if (!directories.includes(certificate.directory)) {
    return atOnce('The certificate is from an authority that is not configured.')
  }

  const reserve = Math.min(lifetimeMs / 4, MOST_RESERVE_MS)
  const latest = notAfter - reserve
  const { window } = certificate
  if (window !== null && window.chosen <= latest) {
    const between = `${new Date(window.start).toISOString()} and ${new Date(window.end).toISOString()}`
    return plan(window.chosen, `The certificate authority asks for it between ${between}.`, { isAsked: true })
  }
  if (window !== null) return plan(latest, 'Later would leave too little time for retries.')
  const isShort = lifetimeMs < SHORT_LIFETIME_MS
  const due = notBefore + lifetimeMs * (isShort ? 1 / 2 : 2 / 3) - certificate.jitter * lifetimeMs * JITTER
  return plan(due, `${isShort ? 'Half' : 'Two thirds'} of the certificate's lifetime are over then.`)
}

/** From when another authority's certificate is better than waiting for the preferred one: a quarter of the lifetime is left. */
export function pressingFrom(certificate: CertificateRecord, clockOffsetMs: number): number {
  const { notAfter, lifetimeMs } = lifetimeOf(certificate)
  return notAfter - lifetimeMs / 4 - clockOffsetMs
}

/** When a certificate begins and ends, Unix milliseconds by the authority's clock. */
export function lifetimeOf({ certificate }: Pick<CertificateRecord, 'certificate'>) {
  const leaf = leafOf(certificate)
  const [notBefore, notAfter] = [leaf.validFromDate.getTime(), leaf.validToDate.getTime()]
  return { notBefore, notAfter, lifetimeMs: notAfter - notBefore }
}

function atOnce(reason: string): Plan {
  return { at: 0, reason, isAsked: false, isPressing: true }
}
