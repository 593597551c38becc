import { X509Certificate, createPrivateKey } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { createSecureContext } from 'node:tls'
import { SoakpError } from './errors.ts'

/** Where a certificate and its key are. */
export interface CertificateFiles {
  readonly certificateFile: string
  readonly keyFile: string
}

/** A certificate with its chain and its private key, which belong together. */
export interface CertificatePair {
  readonly cert: string
  readonly key: string
  readonly notBefore: Date
  readonly notAfter: Date
}

const BLOCK = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g

/**
 * Reads both files and checks them: each certificate of the chain parses, and the key belongs to the first. The time is
 * not looked at, see `assertInTime`. Throws `SOAKP_TLS_FILES`.
 */
export async function readCertificateFiles({ certificateFile, keyFile }: CertificateFiles): Promise<CertificatePair> {
  const cert = await readPem(certificateFile, 'SOAKP_TLS_CERT_FILE')
  const key = await readPem(keyFile, 'SOAKP_TLS_KEY_FILE')
  const blocks = cert.match(BLOCK) ?? []
  let leaf: X509Certificate | undefined
  let isPair = false
  try {
    const [first] = blocks.map((block) => new X509Certificate(block))
    leaf = first
    isPair = leaf?.checkPrivateKey(createPrivateKey(key)) === true
    if (isPair) createSecureContext({ cert, key })
  } catch (cause) {
    throw unreadable(certificateFile, keyFile, cause)
  }
  // A file that is just being written ends within a block.
  if (leaf === undefined || blocks.length !== cert.split('-----BEGIN').length - 1) {
    throw unreadable(certificateFile, keyFile)
  }
  if (!isPair) throw refused(`The key in ${keyFile} does not belong to the certificate in ${certificateFile}.`)
  return { cert, key, notBefore: new Date(leaf.validFrom), notAfter: new Date(leaf.validTo) }
}

/** Refuses a certificate that clients would refuse at this time. Throws `SOAKP_TLS_FILES`. */
export function assertInTime({ notBefore, notAfter }: CertificatePair, file: string, now: number): void {
  if (now >= notAfter.getTime()) throw refused(`The certificate in ${file} expired at ${notAfter.toISOString()}.`)
  if (now >= notBefore.getTime()) return
  throw refused(`The certificate in ${file} is not valid before ${notBefore.toISOString()}. Is the clock right?`)
}

/** Returns a text that changes when one of the files is written, renamed over, or linked to another. */
export async function fingerprintOf({ certificateFile, keyFile }: CertificateFiles): Promise<string> {
  const all = await Promise.all([certificateFile, keyFile].map((file) => stat(file).catch(() => undefined)))
  return all
    .map((each) =>
      each === undefined ? 'none' : `${each.dev}:${each.ino}:${each.size}:${each.mtimeMs}:${each.ctimeMs}`,
    )
    .join(' ')
}

async function readPem(file: string, name: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    throw refused(`${name} names ${file}, which cannot be read.`, cause)
  }
}

function unreadable(certificateFile: string, keyFile: string, cause?: unknown): SoakpError {
  const message = `${certificateFile} and ${keyFile} must be a certificate and its private key in PEM, without a passphrase.`
  return refused(message, cause)
}

function refused(message: string, cause?: unknown): SoakpError {
  return new SoakpError(500, 'SOAKP_TLS_FILES', message, { cause })
}
