import type { CertificatePair } from '../certificate-pair.ts'
import { leafOf, namesOf } from './accept.ts'
import type { CertificateStatus, ShownCertificate } from './index.ts'
import type { CertificateRecord } from './records.ts'

/** Returns a stored certificate as it may be shown. */
export function showCertificate(record: CertificateRecord): ShownCertificate {
  const leaf = leafOf(record.certificate)
  return {
    serial: leaf.serialNumber.toLowerCase(),
    fingerprint: leaf.fingerprint256.replaceAll(':', '').toLowerCase(),
    issuer: leaf.issuer.replaceAll('\n', ', '),
    names: namesOf(leaf),
    not_before: seconds(leaf.validFromDate.getTime()),
    not_after: seconds(leaf.validToDate.getTime()),
    directory: record.directory,
    profile: record.profile,
    revoked_at: record.revokedAt === null ? null : seconds(record.revokedAt),
  }
}

/** Returns a stored certificate as the server takes it. */
export function toPair({ certificate, key }: CertificateRecord): CertificatePair {
  const leaf = leafOf(certificate)
  return { cert: certificate, key, notBefore: leaf.validFromDate, notAfter: leaf.validToDate }
}

/** Tells in a word how the certificate is; `now` is Unix milliseconds. */
export function stateOf(
  record: CertificateRecord | undefined,
  isDue: boolean,
  now: number,
): CertificateStatus['state'] {
  if (record === undefined) return 'missing'
  if (record.revokedAt !== null) return 'revoked'
  if (leafOf(record.certificate).validToDate.getTime() <= now) return 'expired'
  return isDue ? 'due' : 'valid'
}

/** Unix seconds of milliseconds. */
export function seconds(ms: number): number {
  return Math.floor(ms / 1000)
}
