import { AsnConvert } from '@peculiar/asn1-schema'
import { AuthorityKeyIdentifier, Certificate, id_ce_authorityKeyIdentifier } from '@peculiar/asn1-x509'
import { SoakpError } from '../errors.ts'
import { derOfPem } from './der.ts'

/**
 * Returns what an authority knows a certificate by (RFC 9773 section 4.1): its issuer's key identifier and its serial
 * number. `pem` may be a chain, leaf first. Throws `SOAKP_CERTIFICATE_ID` where the certificate names no issuer's key.
 */
export function certificateIdOf(pem: string): string {
  const { tbsCertificate } = AsnConvert.parse(derOfPem(pem), Certificate)
  const extension = tbsCertificate.extensions?.find(({ extnID }) => extnID === id_ce_authorityKeyIdentifier)
  const issuer = extension && AsnConvert.parse(extension.extnValue, AuthorityKeyIdentifier).keyIdentifier
  if (issuer === undefined) {
    const message = 'The certificate does not say which key signed it, so its renewal window cannot be asked for.'
    throw new SoakpError(500, 'SOAKP_CERTIFICATE_ID', message)
  }
  return [issuer.buffer, tbsCertificate.serialNumber].map((bytes) => Buffer.from(bytes).toString('base64url')).join('.')
}
