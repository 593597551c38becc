// tsyringe inside @peculiar/x509 does not load without it (PeculiarVentures/x509#116).
import 'reflect-metadata' // oxlint-disable-line import/no-unassigned-import
import { webcrypto } from 'node:crypto'
import * as x509 from '@peculiar/x509'

/** Signs certificates for tests of lifetimes. */
export interface TestIssuer {
  /** Returns the chain of a request, both PEM; times are Unix milliseconds. */
  issue(csr: string, options: IssueOptions): Promise<string>
}

/** What is issued. */
export interface IssueOptions {
  readonly notBefore: number
  readonly notAfter: number
  /** In place of the request's. */
  readonly names?: readonly string[]
}

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }

/** Makes an authority of its own key; its certificate is the second of each chain. */
export async function createTestIssuer(
  name = 'memory authority',
  algorithm: typeof ALGORITHM | webcrypto.RsaHashedKeyGenParams = ALGORITHM,
): Promise<TestIssuer> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const authority = await x509.X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: '01',
      name: `CN=${name}`,
      notBefore: new Date('2020-01-01'),
      notAfter: new Date('2040-01-01'),
      keys,
      signingAlgorithm: algorithm,
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto),
      ],
    },
    webcrypto,
  )
  let serial = 1_000

  return {
    async issue(csr, { notBefore, notAfter, names }) {
      const request = new x509.Pkcs10CertificateRequest(csr)
      const extension = request.extensions.find(({ type }) => type === '2.5.29.17')
      const asked =
        extension === undefined ? [] : new x509.SubjectAlternativeNameExtension(extension.rawData).names.toJSON()
      serial += 1
      const leaf = await x509.X509CertificateGenerator.create(
        {
          serialNumber: serial.toString(16),
          subject: '',
          issuer: authority.subjectName,
          notBefore: new Date(notBefore),
          notAfter: new Date(notAfter),
          publicKey: await request.publicKey.export(webcrypto),
          signingKey: keys.privateKey,
          signingAlgorithm: algorithm,
          extensions: [
            new x509.SubjectAlternativeNameExtension(names?.map((value) => ({ type: 'dns', value })) ?? asked),
            await x509.AuthorityKeyIdentifierExtension.create(keys.publicKey, false, webcrypto),
          ],
        },
        webcrypto,
      )
      return `${leaf.toString('pem')}\n${authority.toString('pem')}\n`
    },
  }
}
