import { certificateIdOf } from '../acme/certificate-id.ts'
import type { CertificateRecord } from './records.ts'

/** What the authority knows a certificate by (RFC 9773); undefined for one that does not say who signed it. */
export function renewalIdOf({ certificate }: Pick<CertificateRecord, 'certificate'>): string | undefined {
  try {
    return certificateIdOf(certificate)
  } catch {
    return undefined
  }
}
