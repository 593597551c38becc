import { randomBytes, scrypt } from 'node:crypto'
import { promisify } from 'node:util'
import { SoakpError } from '../errors.ts'
import type { Secret } from '../secret.ts'
import type { UnsealSource } from './index.ts'

const derive = promisify<string, Buffer, number, { N: number; r: number; p: number; maxmem: number }, Buffer>(scrypt)

/** OWASP's first choice for scrypt, about 0.3 s; crypto.argon2 does not exist before Node 24.7. */
const COSTS = { N: 2 ** 17, r: 8, p: 1 }
/** Upper bounds on stored parameters, so that a changed file cannot cost more than seconds and 256 MiB. */
const MOST = { N: 2 ** 18, r: 8, p: 4 }

/** Creates the unseal source of a secret string: scrypt (RFC 7914) over the UTF-8 of the NFC form. */
export function createSecretSource(secret: Secret): UnsealSource {
  return {
    kind: 'secret',
    newParameters: () => ({ kdf: 'scrypt', ...COSTS, salt: randomBytes(16).toString('base64url') }),
    async wrappingKey({ kdf, N, r, p, salt }) {
      const isKnown = kdf === 'scrypt' && typeof salt === 'string'
      if (
        !isKnown ||
        !within(N, MOST.N) ||
        N < 2 ||
        !Number.isInteger(Math.log2(N)) ||
        !within(r, MOST.r) ||
        !within(p, MOST.p)
      ) {
        throw new SoakpError(500, 'SOAKP_SEAL_DAMAGED', 'The seal names a key derivation that SOAKP does not use.')
      }
      const text = secret.reveal().normalize('NFC')
      return derive(text, Buffer.from(salt, 'base64url'), 32, { N, r, p, maxmem: 256 * N * r })
    },
  }
}

function within(value: string | number | undefined, most: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= 1 && value <= most
}
