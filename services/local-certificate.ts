import { hostname, networkInterfaces } from 'node:os'
import { join } from 'node:path'
import { LOCAL_AUTHORITY_FILE } from './data-files.ts'
import { writeDurably } from './files.ts'
import type { LocalAuthority } from './local-authority.ts'
import type { OwnSecrets } from './own-secrets.ts'

/** A certificate of the local authority, and when the next should take its place: after two thirds of its time. */
export interface IssuedCertificate {
  readonly cert: string
  readonly key: string
  /** Unix milliseconds. */
  readonly renewAt: number
}

/**
 * Issues a certificate of the local authority for this machine's names. On a first start the authority is made; its
 * certificate is written to `dataDir` each time. `host` is what the server listens on.
 */
export async function issueOwnCertificate(
  secrets: OwnSecrets,
  { dataDir, host }: { readonly dataDir: string; readonly host: string },
  now: Date,
): Promise<IssuedCertificate> {
  // Loading the X.509 library takes 60 ms, which other modes need not pay.
  const { createLocalAuthority, issueLocalCertificate, permittedNames } = await import('./local-authority.ts')
  const { value } = await secrets.findOrMake<LocalAuthority>('local-authority', () => createLocalAuthority(now))
  await writeDurably(join(dataDir, LOCAL_AUTHORITY_FILE), value.certificatePem, 0o644)
  const names = permittedNames(value, namesOf(host))
  const { certificatePem, privateKeyPem, notAfter } = await issueLocalCertificate(value, names, now)
  const renewAt = now.getTime() + ((notAfter.getTime() - now.getTime()) * 2) / 3
  return { cert: certificatePem, key: privateKeyPem, renewAt }
}

function namesOf(host: string): string[] {
  const isWildcard = host === '0.0.0.0' || host === '::'
  const addresses = isWildcard
    ? Object.values(networkInterfaces()).flatMap((each) => each?.map(({ address }) => address) ?? [])
    : [host]
  return [...new Set(['localhost', '127.0.0.1', '::1', hostname(), ...addresses])]
}
