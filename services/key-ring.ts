import { createSecretKey, hkdfSync } from 'node:crypto'
import type { KeyObject } from 'node:crypto'

/** The keys that are derived from the root key by HKDF-SHA-256 (RFC 5869), each under its own label. */
export interface KeyRing {
  /** Version of the key-encryption key that new envelopes use. */
  readonly current: number
  /** Returns the key-encryption key of a version, for `A256KW` (RFC 7518 section 4.4). */
  keyEncryptionKey(version: number): KeyObject
  /** Raw SQLCipher key and salt, 48 bytes as 96 hexadecimal digits. */
  databaseKey(): string
}

/** Creates the key ring of a root key. The instance is HKDF's salt, so that no two instances share a key. */
export function createKeyRing(root: Buffer, instance: string): KeyRing {
  const derive = (label: string, bytes: number) => Buffer.from(hkdfSync('sha256', root, instance, label, bytes))
  const keys = new Map<number, KeyObject>()

  return {
    current: 1,
    keyEncryptionKey(version) {
      const known = keys.get(version)
      if (known !== undefined) return known
      const key = createSecretKey(derive(`soakp kek/${version}`, 32))
      keys.set(version, key)
      return key
    },
    databaseKey: () => derive('soakp sqlcipher', 48).toString('hex'),
  }
}
