import type { CertificatePair } from '../certificate-pair.ts'
import type { RevocationReason } from './revocation-reasons.ts'

/** A certificate as it may be shown. Times are Unix seconds. */
export interface ShownCertificate {
  readonly serial: string
  /** SHA-256 of the DER, hexadecimal. */
  readonly fingerprint: string
  readonly issuer: string
  readonly names: readonly string[]
  readonly not_before: number
  readonly not_after: number
  /** The URL of the directory it is from. */
  readonly directory: string
  readonly profile: string | null
  readonly revoked_at: number | null
}

/** A step of an attempt. Times are Unix seconds, durations milliseconds. */
export interface CertificateEvent {
  readonly at: number
  /** Which attempt it belongs to, `att_…`; null for what belongs to none. */
  readonly attempt: string | null
  readonly kind:
    | 'attempt-started'
    | 'order-created'
    | 'order-resumed'
    | 'record-written'
    | 'records-served'
    | 'validated'
    | 'certificate-issued'
    | 'certificate-used'
    | 'records-removed'
    | 'attempt-succeeded'
    | 'attempt-failed'
    | 'hold-set'
    | 'renewal-planned'
    | 'certificate-revoked'
    | 'account-made'
    | 'account-key-changed'
    | 'warning'
  /** A past-tense sentence for people. */
  readonly message: string
  /** How long the step took. */
  readonly duration_ms: number | null
  /** The directory it is about. */
  readonly directory: string | null
  /** Of a failure: SOAKP's code and, of a certificate authority, the problem's type. */
  readonly code: string | null
  readonly problem: string | null
}

/** What `GET /soakp/certificates` shows. */
export interface CertificateStatus {
  /** The names that are configured. */
  readonly names: readonly string[]
  /** What is served now: this certificate, or the local authority's until there is one. */
  readonly serving: 'acme' | 'local' | 'none'
  readonly state: 'missing' | 'valid' | 'due' | 'expired' | 'revoked'
  readonly certificate: ShownCertificate | null
  readonly next_renewal: { readonly at: number; readonly reason: string } | null
  /** The attempt that runs now and what it is doing. */
  readonly running: { readonly attempt: string; readonly phase: string; readonly since: number } | null
  /** Which authorities are not asked before when, and why. */
  readonly holds: readonly { readonly directory: string; readonly until: number; readonly reason: string }[]
  readonly last_error: {
    readonly at: number
    readonly code: string
    readonly problem: string | null
    readonly message: string
  } | null
  /** Newest first, the last 200. */
  readonly timeline: readonly CertificateEvent[]
}

/** Figures for metrics. Durations are milliseconds. */
export interface CertificateFigures {
  readonly attempts: Readonly<Record<'succeeded' | 'failed', number>>
  /** How long each phase of the last attempt took, by its name. */
  readonly phases: Readonly<Record<string, number>>
  /** How long each authoritative server took to have the values last time, by name and address. */
  readonly serverLag: readonly { readonly name: string; readonly address: string; readonly ms: number }[]
  /** Problems by type, since the start. */
  readonly problems: Readonly<Record<string, number>>
}

/** Gets certificates and keeps them fresh. Nothing here ever ends the server: failures are events and the status. */
export interface Certificates {
  /**
   * Hands the certificate over that was stored last for the configured names, also an expired one. Resolves with whether
   * there was one; rejects with what `take` throws, and then `start` tries it again.
   */
  begin(take: (pair: CertificatePair) => void): Promise<boolean>
  /**
   * Begins to watch: sweeps what a killed process left, resumes an open order, renews when it is time. `use` takes a new
   * pair into service and throws when it cannot; then the old one goes on. Returns at once.
   */
  start(use: (pair: CertificatePair) => Promise<void>): void
  status(): Promise<CertificateStatus>
  figures(): CertificateFigures
  /** Renews now, whatever the time; joins an attempt that runs. Resolves with the new status; throws what it failed of. */
  renew(): Promise<CertificateStatus>
  /** Revokes the certificate and at once gets another with a new key. */
  revoke(reason: RevocationReason): Promise<CertificateStatus>
  /** Rolls the accounts' keys over. */
  changeAccountKeys(): Promise<CertificateStatus>
  /** Stops at any point within two seconds; what is open is resumed by the next start. */
  close(): Promise<void>
}
