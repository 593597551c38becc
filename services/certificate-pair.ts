import { X509Certificate, createPrivateKey } from 'node:crypto'
import { createSecureContext } from 'node:tls'

/** A certificate with its chain and its private key, which belong together. */
export interface CertificatePair {
  readonly cert: string
  readonly key: string
  readonly notBefore: Date
  readonly notAfter: Date
}

/** What is wrong with a pair: one of the two is no PEM of its kind, or they do not belong together. */
export type PairFault = 'unreadable' | 'mismatch'

const BLOCK = /-----BEGIN CERTIFICATE-----[^-]*-----END CERTIFICATE-----/g

/** Returns the certificates of a text in PEM, one by one. */
export function certificateBlocks(pem: string): readonly string[] {
  return pem.match(BLOCK) ?? []
}

/**
 * Reads a pair from PEM and checks it: each certificate of the chain parses, and the key belongs to the first. The time
 * is not looked at, see `timeFault`. Throws what `refuse` makes of a fault.
 */
export function parsePair(
  { cert, key }: Pick<CertificatePair, 'cert' | 'key'>,
  refuse: (fault: PairFault, cause?: unknown) => Error,
): CertificatePair {
  const blocks = certificateBlocks(cert)
  let leaf: X509Certificate | undefined
  let isPair = false
  try {
    const [first] = blocks.map((block) => new X509Certificate(block))
    leaf = first
    isPair = leaf?.checkPrivateKey(createPrivateKey(key)) === true
    if (isPair) createSecureContext({ cert, key })
  } catch (cause) {
    throw refuse('unreadable', cause)
  }
  // A file that is just being written ends within a block.
  if (leaf === undefined || blocks.length !== cert.split('-----BEGIN').length - 1) throw refuse('unreadable')
  if (!isPair) throw refuse('mismatch')
  return { cert, key, notBefore: new Date(leaf.validFrom), notAfter: new Date(leaf.validTo) }
}

/** Says why clients would refuse the certificate at this time, as the end of a sentence; undefined when it is in time. */
export function timeFault({ notBefore, notAfter }: CertificatePair, now: number): string | undefined {
  if (now >= notAfter.getTime()) return `expired at ${notAfter.toISOString()}.`
  if (now >= notBefore.getTime()) return undefined
  return `is not valid before ${notBefore.toISOString()}. Is the clock right?`
}
