import type { CertificatePair } from './certificate-pair.ts'
import type { CertificateStatus } from './certificates/index.ts'

/** What is served, and whether the local authority issued it. */
export interface ServedCertificate extends Pick<CertificatePair, 'notBefore' | 'notAfter'> {
  readonly isLocal: boolean
}

/** Renewals begin with a third of the time or more left: with this part of it left they have failed for long. */
const LATE = 1 / 6

/** Tells whether so little is left that renewals must have failed for long. */
export function isLate({ notBefore, notAfter }: Pick<CertificatePair, 'notBefore' | 'notAfter'>, now: number): boolean {
  return notAfter.getTime() - now < (notAfter.getTime() - notBefore.getTime()) * LATE
}

/**
 * Says in sentences why a served certificate is not what it should be, none when it is. They name nothing, for anybody
 * may read them. `status` is undefined where it cannot be told.
 */
export function certificateFaults(
  { isLocal, notBefore, notAfter }: ServedCertificate,
  status: Pick<CertificateStatus, 'state' | 'last_error'> | undefined,
  now: number,
): readonly string[] {
  const fault = (sentence: string) => [`${sentence} \`soakp acme status\` says more.`]
  if (isLocal) {
    return fault('There is no certificate of SOAKP_DOMAIN yet; that of the local authority is served instead.')
  }
  const leftMs = notAfter.getTime() - now
  if (leftMs <= 0) return fault('The certificate has expired and is served all the same until there is another.')
  if (status?.state === 'revoked') return fault('The certificate was revoked and is served until there is another.')
  if (!isLate({ notBefore, notAfter }, now) || status === undefined || status.last_error === null) return []
  return fault('The certificate expires soon, and its last renewal failed.')
}
