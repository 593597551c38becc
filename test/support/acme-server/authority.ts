// tsyringe inside @peculiar/x509 does not load without it (PeculiarVentures/x509#116).
import 'reflect-metadata' // oxlint-disable-line import/no-unassigned-import
import { randomBytes, webcrypto } from 'node:crypto'
import * as x509 from '@peculiar/x509'

const ALGORITHM = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
const YEAR_MS = 366 * 86_400_000

/** Issues certificates as an authority on the net does: leaf, intermediate, one of several roots. */
export interface Authority {
  /** The common names of the roots. */
  readonly rootNames: readonly string[]
  /** PEM. */
  readonly roots: readonly string[]
  issue(leaf: LeafOptions): Promise<Leaf>
}

/** What is issued. Times are Unix milliseconds. */
export interface LeafOptions {
  readonly names: readonly string[]
  readonly publicKey: x509.PublicKey
  readonly notBefore: number
  readonly notAfter: number
}

/** A certificate and the chains that lead from it to the roots, all PEM. */
export interface Leaf {
  readonly serial: string
  readonly renewalId: string
  readonly leaf: string
  readonly chains: readonly string[]
}

/** Creates an authority with `rootCount` roots, all of which have signed the same intermediate. */
export async function createAuthority(rootCount: number, now: number): Promise<Authority> {
  const intermediateKeys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
  const intermediateName = 'CN=SOAKP Test Intermediate'
  const rootNames = Array.from({ length: rootCount }, (_, number) => `SOAKP Test Root ${number + 1}`)
  const branches = await Promise.all(
    rootNames.map((name) => createBranch(name, intermediateName, intermediateKeys, now)),
  )
  const keyIdentifier = await x509.SubjectKeyIdentifierExtension.create(intermediateKeys.publicKey, false, webcrypto)

  return {
    rootNames,
    roots: branches.map(({ root }) => root.toString('pem')),

    async issue({ names, publicKey, notBefore, notAfter }) {
      const serial = createSerial()
      const certificate = await x509.X509CertificateGenerator.create(
        {
          serialNumber: serial,
          subject: '',
          issuer: intermediateName,
          notBefore: new Date(notBefore),
          notAfter: new Date(notAfter),
          publicKey,
          signingKey: intermediateKeys.privateKey,
          signingAlgorithm: ALGORITHM,
          extensions: [
            new x509.BasicConstraintsExtension(false, undefined, true),
            new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
            new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
            new x509.SubjectAlternativeNameExtension(
              names.map((value) => ({ type: 'dns' as const, value })),
              true,
            ),
            await x509.AuthorityKeyIdentifierExtension.create(intermediateKeys.publicKey, false, webcrypto),
          ],
        },
        webcrypto,
      )
      const leaf = `${certificate.toString('pem')}\n`
      const identifiers = [Buffer.from(keyIdentifier.keyId, 'hex'), Buffer.from(serial, 'hex')]
      return {
        serial,
        renewalId: identifiers.map((bytes) => bytes.toString('base64url')).join('.'),
        leaf,
        chains: branches.map(({ intermediate }) => `${leaf}${intermediate.toString('pem')}\n`),
      }
    },
  }
}

async function createBranch(rootName: string, intermediateName: string, intermediate: CryptoKeyPair, now: number) {
  const keys = await webcrypto.subtle.generateKey(ALGORITHM, true, ['sign', 'verify'])
  const times = { notBefore: new Date(now - YEAR_MS), notAfter: new Date(now + 30 * YEAR_MS) }
  const usages = new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true)
  const root = await x509.X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: createSerial(),
      name: `CN=${rootName}`,
      ...times,
      keys,
      signingAlgorithm: ALGORITHM,
      extensions: [
        new x509.BasicConstraintsExtension(true, undefined, true),
        usages,
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto),
      ],
    },
    webcrypto,
  )
  const between = await x509.X509CertificateGenerator.create(
    {
      serialNumber: createSerial(),
      subject: intermediateName,
      issuer: root.subject,
      ...times,
      publicKey: intermediate.publicKey,
      signingKey: keys.privateKey,
      signingAlgorithm: ALGORITHM,
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        usages,
        await x509.SubjectKeyIdentifierExtension.create(intermediate.publicKey, false, webcrypto),
        await x509.AuthorityKeyIdentifierExtension.create(keys.publicKey, false, webcrypto),
      ],
    },
    webcrypto,
  )
  return { root, intermediate: between }
}

type CryptoKeyPair = webcrypto.CryptoKeyPair

/** 16 bytes that read as a positive number. */
function createSerial(): string {
  const bytes = randomBytes(16)
  bytes.writeUInt8((bytes.readUInt8() & 0x7f) | 0x40)
  return bytes.toString('hex')
}
