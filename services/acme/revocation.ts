import type { Call } from './call.ts'
import { derOfPem } from './der.ts'
import { AcmeError } from './error.ts'
import type { SignOptions } from './wire.ts'

/** Revokes a certificate (RFC 8555 section 7.6), signed by the account or by its own key. What is revoked already is fine. */
export async function revokeCertificate(
  call: Call,
  certificate: string,
  reason: number,
  signing: SignOptions,
): Promise<void> {
  const payload = { certificate: derOfPem(certificate).toString('base64url'), reason }
  try {
    await call.post(await call.resource('revokeCert'), { asked: 'to revoke the certificate', payload, ...signing })
  } catch (error) {
    if (!(error instanceof AcmeError) || error.problem?.type !== 'alreadyRevoked') throw error
  }
}
