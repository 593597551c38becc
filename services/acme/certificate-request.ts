// tsyringe inside @peculiar/x509 does not load without it (PeculiarVentures/x509#116).
import 'reflect-metadata' // oxlint-disable-line import/no-unassigned-import
import { KeyObject, webcrypto } from 'node:crypto'
import * as x509 from '@peculiar/x509'

/** A certificate request with its key, both PEM. */
export interface CertificateRequest {
  readonly csr: string
  /** PKCS#8. */
  readonly key: string
}

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }

/** Makes an ECDSA P-256 key and a request (RFC 2986) for DNS names, which stand in the alternative names alone. */
export async function createCertificateRequest(names: readonly string[]): Promise<CertificateRequest> {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
  const request = await x509.Pkcs10CertificateRequestGenerator.create(
    {
      keys,
      signingAlgorithm: ALGORITHM,
      extensions: [
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.SubjectAlternativeNameExtension(names.map((value) => ({ type: 'dns', value }))),
      ],
    },
    webcrypto,
  )
  const key = KeyObject.from(keys.privateKey).export({ type: 'pkcs8', format: 'pem' }).toString()
  return { csr: `${request.toString('pem')}\n`, key }
}
