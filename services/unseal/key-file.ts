import { hkdfSync, randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { hasErrorCode, SoakpError } from '../errors.ts'
import { createDurably } from '../files.ts'
import type { UnsealSource } from './index.ts'

const LEAST_BYTES = 32

/**
 * Creates the unseal source of a key file: 32 random bytes or more, HKDF-SHA-256 (RFC 5869) only.
 * With `make` a missing file is made, mode 0400. Throws `SOAKP_ROOT_KEY_FILE`.
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
  const material = await readIfThere(file)
  if (material === undefined) {
    if (!make) throw missing(file)
    const made = randomBytes(LEAST_BYTES)
    return (await createDurably(file, made, 0o400)) ? made : readKeyFile(file, false)
  }
  if (material.length < LEAST_BYTES) throw refused(`The root key file ${file} is shorter than ${LEAST_BYTES} bytes.`)
  // 32 random bytes have 30 different values on average; a file of zeros is what a crash of the machine leaves.
  if (new Set(material).size < 8) throw refused(`The root key file ${file} holds a pattern and not random bytes.`)
  return material
}

async function readIfThere(file: string): Promise<Buffer | undefined> {
  try {
    return await readFile(file)
  } catch (cause) {
    if (hasErrorCode(cause, 'ENOENT')) return undefined
    throw refused(`The root key file ${file} cannot be read.`, cause)
  }
}

function missing(file: string): SoakpError {
  return refused(
    `The root key file ${file} does not exist. Put it back, or name it in SOAKP_ROOT_KEY_FILE; ` +
      `for a new vault: head -c 32 /dev/urandom > ${file}`,
  )
}

function refused(message: string, cause?: unknown): SoakpError {
  return new SoakpError(500, 'SOAKP_ROOT_KEY_FILE', message, { cause })
}
