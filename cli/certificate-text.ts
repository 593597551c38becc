import type { Certificates } from '../services/certificates/index.ts'
import { localTime, plainText } from './output.ts'

/** Says in a line how the certificate of SOAKP_DOMAIN stands; undefined when it cannot be told. */
export async function certificateText(
  certificates: Pick<Certificates, 'status'> | undefined,
): Promise<string | undefined> {
  const status = await certificates?.status().catch(() => undefined)
  if (status === undefined) return undefined
  const { certificate, names, state } = status
  const more = '`soakp acme status` shows how far it is'
  if (certificate === null || state === 'missing') {
    return `being fetched for ${names.join(', ')} (${more}; until then clients see the local authority's, which they do not trust)`
  }
  const end = localTime(certificate.not_after)
  if (state === 'expired') return `expired at ${end}, being renewed (${more})`
  if (state === 'revoked') return `revoked, being replaced (${more})`
  return `for ${certificate.names.join(', ')}, of ${plainText(certificate.issuer)}, until ${end} (renewed by itself)`
}
