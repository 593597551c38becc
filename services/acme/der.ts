import { SoakpError } from '../errors.ts'

/** Returns the bytes of the first PEM block of a text. Throws `SOAKP_PEM` when there is none. */
export function derOfPem(pem: string): Buffer {
  const [, base64] = /-----BEGIN [^-]+-----([^-]+)-----END [^-]+-----/.exec(pem) ?? []
  if (base64 === undefined) throw new SoakpError(500, 'SOAKP_PEM', 'A text in PEM was expected: "-----BEGIN …".')
  return Buffer.from(base64, 'base64')
}
