import { hkdfSync, randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { hasErrorCode, SoakpError } from '../errors.ts'
import { writeDurably } from '../files.ts'
import type { UnsealSource } from './index.ts'

const LEAST_BYTES = 32

/**
 * Creates the unseal source of a key file: 32 random bytes or more, HKDF-SHA-256 (RFC 5869) only.
 * With `make` a missing file is made, mode 0400.
 */
export async function createKeyFileSource(file: string, make: boolean): Promise<UnsealSource> {
  const material = await readKeyFile(file, make)
  return {
    kind: 'key-file',
    newParameters: () => ({ kdf: 'hkdf-sha256', salt: randomBytes(16).toString('base64url') }),
    async wrappingKey({ kdf, salt }) {
      if (kdf !== 'hkdf-sha256' || typeof salt !== 'string') {
        throw new SoakpError(500, 'SOAKP_SEAL_DAMAGED', 'The seal names a key derivation that SOAKP does not use.')
      }
      return Buffer.from(hkdfSync('sha256', material, Buffer.from(salt, 'base64url'), 'soakp seal', 32))
    },
  }
}

async function readKeyFile(file: string, make: boolean): Promise<Buffer> {
  try {
    const material = await readFile(file)
    if (material.length >= LEAST_BYTES) return material
  } catch (cause) {
    if (!hasErrorCode(cause, 'ENOENT')) {
      throw new SoakpError(500, 'SOAKP_ROOT_KEY_FILE', `The root key file ${file} cannot be read.`, { cause })
    }
    if (make) {
      const material = randomBytes(LEAST_BYTES)
      await writeDurably(file, material, 0o400)
      return material
    }
    const message = `The root key file ${file} does not exist. Put it back, or name it in SOAKP_ROOT_KEY_FILE; for a new vault: head -c 32 /dev/urandom > ${file}`
    throw new SoakpError(500, 'SOAKP_ROOT_KEY_FILE', message, { cause })
  }
  throw new SoakpError(500, 'SOAKP_ROOT_KEY_FILE', `The root key file ${file} is shorter than ${LEAST_BYTES} bytes.`)
}
