import { webcrypto } from 'node:crypto'
import * as x509 from '@peculiar/x509'
import type { JWK } from 'jose'
import { thumbprintOf } from './jws.ts'
import { Refused } from './problem.ts'
import type { Account } from './store.ts'

/** Reads a certificate request (base64url DER) and checks that it is for exactly these names. Throws `Refused`. */
export async function readRequest(
  csr: unknown,
  names: readonly string[],
  { thumbprint }: Account,
): Promise<{ readonly publicKey: x509.PublicKey; readonly jwk: JWK }> {
  let request: x509.Pkcs10CertificateRequest
  let jwk: JWK
  try {
    request = new x509.Pkcs10CertificateRequest(Buffer.from(String(csr), 'base64url'))
    if (!(await request.verify(webcrypto))) throw new Error('signature')
    const key = await request.publicKey.export(webcrypto)
    jwk = await webcrypto.subtle.exportKey('jwk', key)
  } catch (error) {
    throw new Refused(400, 'badCSR', `The request cannot be read: ${String(error)}`)
  }
  if ((await thumbprintOf(jwk)) === thumbprint) throw new Refused(400, 'badCSR', 'The key is that of the account')
  const wanted = new Set([...namesIn(request), ...commonNamesIn(request)])
  if ([...wanted].toSorted().join() !== names.toSorted().join()) {
    throw new Refused(400, 'badCSR', `The request is for ${[...wanted].join()}, the order for ${names.join()}`)
  }
  return { publicKey: request.publicKey, jwk }
}

function namesIn(request: x509.Pkcs10CertificateRequest): string[] {
  const extension = request.extensions.find((each) => each instanceof x509.SubjectAlternativeNameExtension)
  return extension?.names.items.map(({ value }) => value.toLowerCase()) ?? []
}

function commonNamesIn(request: x509.Pkcs10CertificateRequest): string[] {
  return request.subjectName.getField('CN').map((name) => name.toLowerCase())
}
