// tsyringe inside @peculiar/x509 does not load without it (PeculiarVentures/x509#116).
import 'reflect-metadata' // oxlint-disable-line import/no-unassigned-import
import { KeyObject, createPrivateKey, randomBytes, webcrypto } from 'node:crypto'
import { BlockList, SocketAddress, isIP, isIPv6 } from 'node:net'
import { hostname } from 'node:os'
import { domainToASCII } from 'node:url'
import { AsnConvert } from '@peculiar/asn1-schema'
import {
  GeneralName,
  GeneralSubtree,
  GeneralSubtrees,
  NameConstraints,
  id_ce_nameConstraints,
} from '@peculiar/asn1-x509'
import * as x509 from '@peculiar/x509'
import { SoakpError } from './errors.ts'

/** Holds a certificate authority for this machine; whoever trusts the certificate trusts what the key signs. */
export interface LocalAuthority {
  readonly certificatePem: string
  /** The private key in PKCS#8. */
  readonly privateKeyPem: string
}

/** Holds a server certificate signed by a local authority. */
export interface LocalCertificate {
  /** The leaf alone: a client either has the authority in its trust store or must not believe one that is sent along. */
  readonly certificatePem: string
  /** The private key in PKCS#8. */
  readonly privateKeyPem: string
  readonly notAfter: Date
}

const hourMs = 3_600_000
const dayMs = 24 * hourMs
const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }

/** Names of the public net are missing here on purpose: a stolen authority key must not speak for them. */
const permittedDomains = ['localhost', 'local', 'internal', 'test', 'home.arpa']
const permittedSubnets = [
  '127.0.0.0/8',
  '10.0.0.0/8',
  '172.16.0.0/12',
  '192.168.0.0/16',
  '169.254.0.0/16',
  '::1/128',
  'fc00::/7',
  'fe80::/10',
]

/**
 * Creates an authority that is valid for ten years and, by critical name constraints (RFC 5280, 4.2.1.10), only for
 * private names and addresses: `localhost`, `local`, `internal`, `test`, `home.arpa`, this machine's host name, and
 * the domains below them.
 */
export async function createLocalAuthority(now: Date): Promise<LocalAuthority> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  // RFC 5280 allows a common name 64 characters.
  const commonName = `SOAKP local authority ${hostname().slice(0, 31)} ${now.toISOString().slice(0, 10)}`
  const certificate = await x509.X509CertificateGenerator.createSelfSigned(
    {
      serialNumber: createSerialNumber(),
      name: [{ CN: [commonName] }],
      notBefore: atSecond(now.getTime() - hourMs),
      notAfter: atSecond(now.getTime() + 3652 * dayMs),
      keys,
      extensions: [
        new x509.BasicConstraintsExtension(true, 0, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign, true),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto),
        createNameConstraints(),
      ],
    },
    webcrypto,
  )
  return { certificatePem: certificate.toString('pem'), privateKeyPem: exportPrivateKey(keys.privateKey) }
}

/**
 * Issues a server certificate for DNS names and IP addresses, valid from an hour ago (clocks differ) for 90 days.
 * Throws `SOAKP_LOCAL_NAME_REFUSED` for a name that the authority's own constraints do not permit.
 */
export async function issueLocalCertificate(
  authority: LocalAuthority,
  names: readonly string[],
  now: Date,
): Promise<LocalCertificate> {
  const issuer = new x509.X509Certificate(authority.certificatePem)
  const permitted = readPermittedNames(issuer)
  const subjectNames = names.map((name) => checkName(name, permitted))
  if (subjectNames.length === 0) throw refuseName('A local certificate needs at least one name or address.')

  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const notAfter = atSecond(Math.min(now.getTime() + 90 * dayMs, issuer.notAfter.getTime()))
  const certificate = await x509.X509CertificateGenerator.create(
    {
      serialNumber: createSerialNumber(),
      // No common name: where the alternative names are all addresses, OpenSSL and GnuTLS hold it against the
      // constraints as if it were a DNS name.
      subject: [{ O: ['SOAKP local certificate'] }],
      issuer: issuer.subjectName,
      notBefore: atSecond(now.getTime() - hourMs),
      notAfter,
      publicKey: keys.publicKey,
      signingKey: createPrivateKey(authority.privateKeyPem).toCryptoKey(algorithm, false, ['sign']),
      extensions: [
        new x509.BasicConstraintsExtension(false, undefined, true),
        new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
        new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
        new x509.SubjectAlternativeNameExtension(subjectNames),
        await x509.SubjectKeyIdentifierExtension.create(keys.publicKey, false, webcrypto),
        await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey, false, webcrypto),
      ],
    },
    webcrypto,
  )
  return { certificatePem: certificate.toString('pem'), privateKeyPem: exportPrivateKey(keys.privateKey), notAfter }
}

function createNameConstraints(): x509.Extension {
  const machine = domainToASCII(hostname())
  const domains = new Set(isDomain(machine) ? [...permittedDomains, machine] : permittedDomains)
  const bases = [
    ...[...domains].map((dNSName) => new GeneralName({ dNSName })),
    ...permittedSubnets.map((iPAddress) => new GeneralName({ iPAddress })),
  ]
  const permittedSubtrees = new GeneralSubtrees(bases.map((base) => new GeneralSubtree({ base })))
  return new x509.Extension(
    id_ce_nameConstraints,
    true,
    AsnConvert.serialize(new NameConstraints({ permittedSubtrees })),
  )
}

/** The authority's own constraints decide, as a client sees them: the host name may have changed since its creation. */
function readPermittedNames(issuer: x509.X509Certificate): readonly GeneralName[] {
  const extension = issuer.getExtension(id_ce_nameConstraints)
  if (extension === null) return []
  return (AsnConvert.parse(extension.value, NameConstraints).permittedSubtrees ?? []).map((subtree) => subtree.base)
}

function checkName(name: string, permitted: readonly GeneralName[]): x509.JsonGeneralName {
  const [address = ''] = name.split('%')
  const type = isIP(address) === 0 ? 'dns' : 'ip'
  const value = type === 'ip' ? canonicalAddress(address) : domainToASCII(name)
  if (permitted.some((base) => (type === 'ip' ? isInSubnet(value, base.iPAddress) : isInDomain(value, base.dNSName)))) {
    return { type, value }
  }
  throw refuseName(`The local certificate authority does not sign for "${name}": use SOAKP_TLS=files for that name.`)
}

function refuseName(message: string): SoakpError {
  return new SoakpError(500, 'SOAKP_LOCAL_NAME_REFUSED', message)
}

function isDomain(name: string): boolean {
  return name.length <= 253 && /^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?(?:\.(?!$)|$))+$/.test(name) && isIP(name) === 0
}

function isInDomain(name: string, parent: string | undefined): boolean {
  if (parent === undefined || !isDomain(name.replace(/^\*\./, ''))) return false
  return name === parent || name.endsWith(`.${parent}`)
}

/** One family at a time: BlockList takes `::ffff:127.0.0.1` for 127.0.0.1, TLS clients do not. */
function isInSubnet(address: string, subnet: string | undefined): boolean {
  const [network = '', prefix] = subnet?.split('/') ?? []
  if (isIP(network) !== isIP(address)) return false
  const list = new BlockList()
  list.addSubnet(network, Number(prefix), family(address))
  return list.check(address, family(address))
}

/** The packages that write the certificate misread `fd00::1.2.3.4`; hexadecimal groups they know. */
function canonicalAddress(address: string): string {
  return new SocketAddress({ address, family: family(address) }).address
}

function family(address: string): 'ipv4' | 'ipv6' {
  return isIPv6(address) ? 'ipv6' : 'ipv4'
}

/** 16 random bytes, positive and without leading zeros, as RFC 5280 (4.1.2.2) wants them. */
function createSerialNumber(): string {
  const bytes = randomBytes(16)
  bytes.writeUInt8((bytes.readUInt8() & 0x7f) | 0x40)
  return bytes.toString('hex')
}

function exportPrivateKey(key: webcrypto.CryptoKey): string {
  return KeyObject.from(key).export({ type: 'pkcs8', format: 'pem' }).toString()
}

/** Certificates know no milliseconds. */
function atSecond(timeMs: number): Date {
  return new Date(Math.floor(timeMs / 1000) * 1000)
}

/** Returns those of the names that the authority's constraints permit. */
export function permittedNames(authority: LocalAuthority, names: readonly string[]): string[] {
  const permitted = readPermittedNames(new x509.X509Certificate(authority.certificatePem))
  return names.filter((name) => {
    try {
      checkName(name, permitted)
      return true
    } catch {
      return false
    }
  })
}
