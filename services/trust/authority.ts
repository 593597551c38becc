import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { getCACertificates } from 'node:tls'
import { AsnConvert } from '@peculiar/asn1-schema'
import { Certificate, NameConstraints, id_ce_nameConstraints } from '@peculiar/asn1-x509'
import { SoakpError, hasErrorCode } from '../errors.ts'

/** The certificate of a local authority, as it lies in the data folder. */
export interface AuthorityCertificate {
  readonly file: string
  readonly pem: string
  readonly subject: string
  /** SHA-256 of the certificate as browsers show it, `AB:CD:…`. */
  readonly sha256: string
  /** SHA-1 in hexadecimal digits: how Windows and macOS name certificates. */
  readonly sha1: string
  /** The names and networks that it can speak for. */
  readonly names: readonly string[]
  readonly expiresAt: Date
  /** What it is called in trust stores: another for every authority. */
  readonly nickname: string
}

/**
 * Reads the certificate of a local authority. Throws `SOAKP_NO_AUTHORITY` when there is none yet, and
 * `SOAKP_AUTHORITY_REFUSED` for a file that is not one of SOAKP's: nothing else may get into a trust store.
 */
export async function readAuthority(file: string): Promise<AuthorityCertificate> {
  const pem = await read(file)
  try {
    const certificate = new X509Certificate(pem)
    const subject = certificate.subject.replace(/^CN=/, '')
    const names = permittedNames(certificate.raw)
    if (certificate.ca && subject.startsWith('SOAKP local authority') && names.length > 0) {
      return {
        file,
        pem,
        subject,
        sha256: certificate.fingerprint256,
        sha1: certificate.fingerprint.replaceAll(':', ''),
        names,
        expiresAt: new Date(certificate.validTo),
        nickname: `soakp-local-authority-${certificate.fingerprint256.replaceAll(':', '').slice(0, 8).toLowerCase()}`,
      }
    }
  } catch (cause) {
    throw refused(file, cause)
  }
  throw refused(file)
}

/**
 * Tells whether the store of the system, or Node as this process was started (`default`: what `NODE_EXTRA_CA_CERTS` and
 * `--use-system-ca` add is in it), trusts an authority.
 */
export function isTrustedBy(store: 'system' | 'default', { sha256 }: AuthorityCertificate): boolean {
  return getCACertificates(store).some((pem) => new X509Certificate(pem).fingerprint256 === sha256)
}

async function read(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    if (!hasErrorCode(cause, 'ENOENT')) throw cause
    const message = `There is no ${file} yet. Start SOAKP once with SOAKP_TLS=local; if its data is elsewhere, set SOAKP_DATA_DIR.`
    throw new SoakpError(404, 'SOAKP_NO_AUTHORITY', message, { cause })
  }
}

/** Returns what the critical name constraints (RFC 5280, 4.2.1.10) permit; nothing when there are none. */
function permittedNames(der: Buffer): string[] {
  const { extensions = [] } = AsnConvert.parse(der, Certificate).tbsCertificate
  const extension = [...extensions].find(({ extnID, critical }) => extnID === id_ce_nameConstraints && critical)
  if (extension === undefined) return []
  const { permittedSubtrees = [] } = AsnConvert.parse(extension.extnValue.buffer, NameConstraints)
  return [...permittedSubtrees].map(({ base }) => base.dNSName ?? base.iPAddress ?? '?')
}

function refused(file: string, cause?: unknown): SoakpError {
  const message = `${file} is no certificate of a local authority of SOAKP. Start SOAKP: it writes its own there.`
  return new SoakpError(500, 'SOAKP_AUTHORITY_REFUSED', message, { cause })
}
