import { readFile, stat } from 'node:fs/promises'
import { parsePair, timeFault } from './certificate-pair.ts'
import type { CertificatePair } from './certificate-pair.ts'
import { SoakpError } from './errors.ts'

/** Where a certificate and its key are. */
export interface CertificateFiles {
  readonly certificateFile: string
  readonly keyFile: string
}

/**
 * Reads both files and checks them: each certificate of the chain parses, and the key belongs to the first. The time is
 * not looked at, see `assertInTime`. Throws `SOAKP_TLS_FILES`.
 */
export async function readCertificateFiles({ certificateFile, keyFile }: CertificateFiles): Promise<CertificatePair> {
  const cert = await readPem(certificateFile, 'SOAKP_TLS_CERT_FILE')
  const key = await readPem(keyFile, 'SOAKP_TLS_KEY_FILE')
  return parsePair({ cert, key }, (fault, cause) =>
    fault === 'mismatch'
      ? refused(`The key in ${keyFile} does not belong to the certificate in ${certificateFile}.`)
      : refused(
          `${certificateFile} and ${keyFile} must be a certificate and its private key in PEM, without a passphrase.`,
          cause,
        ),
  )
}

/** Refuses a certificate that clients would refuse at this time. Throws `SOAKP_TLS_FILES`. */
export function assertInTime(pair: CertificatePair, file: string, now: number): void {
  const fault = timeFault(pair, now)
  if (fault !== undefined) throw refused(`The certificate in ${file} ${fault}`)
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

function refused(message: string, cause?: unknown): SoakpError {
  return new SoakpError(500, 'SOAKP_TLS_FILES', message, { cause })
}
