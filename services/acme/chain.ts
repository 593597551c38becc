import { X509Certificate } from 'node:crypto'
import { certificateBlocks } from '../certificate-pair.ts'
import type { AcmeAnswer } from './transport.ts'

const MOST_CERTIFICATES = 20
const MOST_ALTERNATES = 5

/** Reads a chain in PEM, leaf first, and returns nothing but its certificates; undefined where any is none. */
export function readChain(text: string): string | undefined {
  const blocks = certificateBlocks(text)
  if (blocks.length === 0 || blocks.length > MOST_CERTIFICATES) return undefined
  return blocks.every(isCertificate) ? blocks.map((block) => `${block.replaceAll('\r', '')}\n`).join('') : undefined
}

/** Tells whether the last certificate of a chain is, or is signed by, a root of this common name. */
export function leadsTo(chain: string, root: string): boolean {
  const last = certificateBlocks(chain).at(-1)
  if (last === undefined) return false
  const { subject, issuer } = new X509Certificate(last)
  // Node has undefined for an empty name, whatever its types say.
  return [subject, issuer].join('\n').split('\n').includes(`CN=${root}`)
}

/** Returns where an answer says that other chains are (RFC 8555 section 7.4.2), at most five. */
export function alternatesOf({ url, headers }: AcmeAnswer): string[] {
  const links = (headers['link'] ?? '').matchAll(/<([^<>]*)>([^<]*)/g)
  const alternates = [...links].filter(([, , parameters = '']) =>
    /;\s*rel="?alternate"?\s*(?:[;,]|$)/i.test(parameters),
  )
  return alternates.flatMap(([, target = '']) => URL.parse(target, url)?.href ?? []).slice(0, MOST_ALTERNATES)
}

function isCertificate(block: string): boolean {
  try {
    return new X509Certificate(block).raw.length > 0
  } catch {
    return false
  }
}
