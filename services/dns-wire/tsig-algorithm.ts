/** How the algorithms of TSIG are called (RFC 8945 section 6), and by `node:crypto`. HMAC-MD5 is left out: MD5 is broken. */
const hashes = {
  'hmac-sha1': 'sha1',
  'hmac-sha224': 'sha224',
  'hmac-sha256': 'sha256',
  'hmac-sha384': 'sha384',
  'hmac-sha512': 'sha512',
} as const

/** The name of an algorithm. */
export type TsigAlgorithm = keyof typeof hashes

/** Every algorithm that is taken. */
export const tsigAlgorithms = Object.keys(hashes) as readonly TsigAlgorithm[]

/** Used where none is named. */
export const defaultTsigAlgorithm: TsigAlgorithm = 'hmac-sha256'

/** Names the hash of an algorithm for `createHmac`. */
export function hashOf(algorithm: TsigAlgorithm): string {
  return hashes[algorithm]
}

/** Reads an algorithm as BIND, lego and certbot write it: `hmac-sha256`, `HMAC-SHA256`, `hmac-sha256.`; undefined for any other. */
export function readTsigAlgorithm(text: string): TsigAlgorithm | undefined {
  const name = text.trim().toLowerCase().replace(/\.$/, '').replaceAll('_', '-')
  return tsigAlgorithms.find((algorithm) => algorithm === name)
}

/** Tells whether it is HMAC-MD5, under any of its names. */
export function isMd5(text: string): boolean {
  return /^\s*hmac[-_]md5(?:\.sig-alg\.reg\.int)?\.?\s*$/i.test(text)
}
