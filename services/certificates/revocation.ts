import { AcmeError } from '../acme/error.ts'
import { SoakpError } from '../errors.ts'
import { orAborted } from '../or-aborted.ts'
import type { Accounts } from './accounts.ts'
import { isRateLimited } from './failures.ts'
import type { CertificateRecord } from './records.ts'
import type { RenewalTools } from './renewal.ts'
import { revocationReasons } from './revocation-reasons.ts'
import type { RevocationReason } from './revocation-reasons.ts'

/** Refuses a reason that an authority would refuse. Throws `SOAKP_REVOCATION_REASON`. */
export function assertReason(reason: string): void {
  if (Object.hasOwn(revocationReasons, reason)) return
  const message = `The reason must be one of ${Object.keys(revocationReasons).join(', ')}.`
  throw new SoakpError(400, 'SOAKP_REVOCATION_REASON', message)
}

/**
 * Asks the authority for the revocation that is noted. A refusal ends it; when the authority cannot be asked, the note
 * stays for the next look.
 */
export async function revokeNoted(
  { accounts, records, timeline, signal }: Pick<RenewalTools, 'accounts' | 'records' | 'timeline' | 'signal'>,
  record: CertificateRecord,
  reason: RevocationReason,
): Promise<void> {
  try {
    await revokeCertificate(accounts, record, reason, signal)
  } catch (error) {
    const isRefused = error instanceof AcmeError && error.problem !== undefined && !isRateLimited(error)
    if (isRefused) await records.changeCertificate(record, (stored) => ({ ...stored, revoking: undefined }))
    throw error
  }
  timeline.report('certificate-revoked', `The certificate was revoked with reason ${reason}.`, {
    directory: record.directory,
  })
}

/**
 * Revokes a certificate by the account that ordered it, else by its own key; after a key's compromise by the key first,
 * for only that makes authorities refuse the key from then on. One that is revoked already is fine.
 */
async function revokeCertificate(
  accounts: Accounts,
  { directory, certificate, key }: CertificateRecord,
  reason: RevocationReason,
  signal: AbortSignal,
): Promise<void> {
  const byAccount = async () => {
    const { client } = await accounts.signIn(directory, signal)
    await orAborted(signal, client.revoke(certificate, revocationReasons[reason], signal))
  }
  const byKey = async () => {
    const client = await accounts.open(directory)
    await orAborted(signal, client.revoke(certificate, revocationReasons[reason], signal, key))
  }
  const [first, second] = reason === 'key_compromise' ? [byKey, byAccount] : [byAccount, byKey]
  try {
    await first()
  } catch (error) {
    signal.throwIfAborted()
    if (isRevoked(error)) return
    await second().catch((other: unknown) => {
      if (isRevoked(other)) return
      throw other
    })
  }
}

function isRevoked(error: unknown): boolean {
  return error instanceof AcmeError && error.problem?.type === 'alreadyRevoked'
}
