import { createDecipheriv, createSecretKey } from 'node:crypto'
import type { KeyObject } from 'node:crypto'
import { CompactEncrypt } from 'jose'
import { SoakpError } from './errors.ts'
import type { KeyRing } from './key-ring.ts'

/**
 * What an envelope is bound to. All of it stands in the protected header, which AES-GCM authenticates, and is compared
 * with the row on every opening: an envelope that was moved, swapped or kept from an earlier version does not open.
 */
export interface Binding {
  readonly type: 'soakp-key+jwt' | 'soakp-secret+jwt'
  readonly id: string
  /** The upstream's base URL for a key, `soakp` for SOAKP's own secrets. */
  readonly audience: string
  readonly version: number
}

/** Seals claims into JWTs that are encrypted as compact JWE (RFC 7519, RFC 7516, `A256KW` + `A256GCM`). */
export interface Cipher {
  seal(binding: Binding, claims: object): Promise<string>
  /** Opens an envelope. Throws `SOAKP_ENVELOPE_REFUSED` unless it is exactly the one of `binding`. */
  open(binding: Binding, envelope: string): unknown
  /** Forgets the content-encryption key that `open` keeps for an id. */
  forget(id: string): void
}

/** An envelope whose content-encryption key is unwrapped, ready for one AES-GCM pass. */
interface Unwrapped {
  readonly binding: Binding
  readonly envelope: string
  readonly header: Buffer
  readonly key: KeyObject
  readonly iv: Buffer
  readonly ciphertext: Buffer
  readonly tag: Buffer
}

/** RFC 3394 section 2.2.3.1, the initial value of AES key wrap. */
const KEY_WRAP_IV = Buffer.alloc(8, 0xa6)
const TENANT = 'default'
const NOTHING = Buffer.alloc(0)

/** Creates the cipher of one instance. Sealing is jose's; opening is node:crypto's, because it is on the hot path. */
export function createCipher(keyRing: KeyRing, instance: string): Cipher {
  const unwrapped = new Map<string, Unwrapped>()

  const headerOf = (binding: Binding) => ({
    alg: 'A256KW',
    enc: 'A256GCM',
    typ: binding.type,
    kid: `kek-${keyRing.current}`,
    iss: `urn:soakp:${instance}`,
    tid: TENANT,
    sub: binding.id,
    aud: binding.audience,
    ver: binding.version,
  })

  function unwrap(binding: Binding, envelope: string): Unwrapped {
    const header = Buffer.from(JSON.stringify(headerOf(binding))).toString('base64url')
    const [, ...parts] = envelope.split('.').map((part) => Buffer.from(part, 'base64url'))
    // Node's decoder skips what is not base64url: only the canonical spelling comes out as it went in.
    const canonical = [header, ...parts.map((part) => part.toString('base64url'))].join('.')
    if (envelope !== canonical || parts.length !== 4) throw refused(binding)
    const [wrapped = NOTHING, iv = NOTHING, ciphertext = NOTHING, tag = NOTHING] = parts
    const decipher = createDecipheriv('aes256-wrap', keyRing.keyEncryptionKey(keyRing.current), KEY_WRAP_IV)
    const key = Buffer.concat([decipher.update(wrapped), decipher.final()])
    const entry = {
      binding,
      envelope,
      header: Buffer.from(header),
      key: createSecretKey(key),
      iv,
      ciphertext,
      tag,
    }
    key.fill(0)
    unwrapped.set(binding.id, entry)
    return entry
  }

  return {
    async seal(binding, claims) {
      const payload = Buffer.from(JSON.stringify(claims))
      const envelope = await new CompactEncrypt(payload)
        .setProtectedHeader(headerOf(binding))
        .encrypt(keyRing.keyEncryptionKey(keyRing.current))
      payload.fill(0)
      return envelope
    },

    open(binding, envelope) {
      try {
        const known = unwrapped.get(binding.id)
        const entry = known !== undefined && isSame(known, binding, envelope) ? known : unwrap(binding, envelope)
        const decipher = createDecipheriv('aes-256-gcm', entry.key, entry.iv, { authTagLength: 16 })
        decipher.setAAD(entry.header).setAuthTag(entry.tag)
        const payload = Buffer.concat([decipher.update(entry.ciphertext), decipher.final()])
        const claims: unknown = JSON.parse(payload.toString())
        payload.fill(0)
        return claims
      } catch (cause) {
        unwrapped.delete(binding.id)
        throw cause instanceof SoakpError ? cause : refused(binding, cause)
      }
    },

    forget: (id) => void unwrapped.delete(id),
  }
}

function isSame(known: Unwrapped, binding: Binding, envelope: string): boolean {
  return (
    known.envelope === envelope &&
    known.binding.type === binding.type &&
    known.binding.audience === binding.audience &&
    known.binding.version === binding.version
  )
}

function refused(binding: Binding, cause?: unknown): SoakpError {
  const message = `The envelope of ${binding.id} does not belong to its row. Restore the database from a backup, or save the key again.`
  return new SoakpError(500, 'SOAKP_ENVELOPE_REFUSED', message, { cause })
}
