import { X509Certificate, createPrivateKey } from 'node:crypto'
import { certificateBlocks, parsePair } from '../certificate-pair.ts'
import { SoakpError } from '../errors.ts'

/** What a certificate must be before it takes the place of another. Times are Unix milliseconds. */
export interface Expectation {
  readonly names: readonly string[]
  /** PKCS#8, PEM. */
  readonly key: string
  readonly now: number
  /** How far `now` may be behind the authority's clock. */
  readonly toleranceMs: number
  /** When the present one ends, if this one must not end before it. */
  readonly longerThan: number | undefined
}

const MOST_CERTIFICATES = 10

/**
 * Checks a chain, PEM, before it is stored: the key belongs to its first certificate, which has all names; each is
 * signed by the next; it is in time, and lives longer than the present one. Throws `SOAKP_ACME_CERTIFICATE`.
 */
export function assertAcceptable(chain: string, { names, key, now, toleranceMs, longerThan }: Expectation): void {
  const certificates = readChain(chain)
  const [leaf] = certificates
  if (leaf === undefined) throw refused('is no certificate')
  if (!leaf.checkPrivateKey(createPrivateKey(key))) throw refused('is for another key')
  const missing = names.filter((name) => !namesOf(leaf).includes(name))
  if (missing.length > 0) throw refused(`does not have ${missing.join(', ')}`)
  if (!linksUp(certificates)) throw refused('comes with a chain that does not link up')
  const [notBefore, notAfter] = [leaf.validFromDate.getTime(), leaf.validToDate.getTime()]
  // Written so that a time which cannot be read is refused too.
  if (!(notBefore <= now + toleranceMs)) throw refused(`is not valid before ${leaf.validFrom}`)
  if (!(notAfter > now)) throw refused(`ended at ${leaf.validTo}`)
  if (longerThan !== undefined && notAfter <= longerThan) throw refused('ends before the present one')
  // What TLS would not take must not replace what it takes: weak keys and signatures anywhere in the chain.
  parsePair({ cert: chain, key }, (_fault, cause) => refused('cannot be served', cause))
}

/** Reads the leaf of a chain. */
export function leafOf(chain: string): X509Certificate {
  return new X509Certificate(chain)
}

/** The DNS names of a certificate, lower-case. */
export function namesOf({ subjectAltName = '' }: X509Certificate): string[] {
  return subjectAltName
    .split(', ')
    .filter((part) => part.startsWith('DNS:'))
    .map((part) => part.slice('DNS:'.length).toLowerCase())
}

function readChain(chain: string): X509Certificate[] {
  const blocks = certificateBlocks(chain)
  if (blocks.length > MOST_CERTIFICATES) throw refused(`comes with more than ${MOST_CERTIFICATES} others`)
  if (blocks.length !== chain.split('-----BEGIN').length - 1) throw refused('comes with something else')
  try {
    return blocks.map((block) => new X509Certificate(block))
  } catch (cause) {
    throw refused('cannot be read', cause)
  }
}

function linksUp(certificates: readonly X509Certificate[]): boolean {
  return certificates.every((certificate, index) => {
    const issuer = certificates[index + 1]
    return issuer === undefined || (certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey))
  })
}

function refused(what: string, cause?: unknown): SoakpError {
  const message = `The certificate that came ${what}, so the present one stays. The authority is asked again later.`
  return new SoakpError(502, 'SOAKP_ACME_CERTIFICATE', message, { cause })
}
