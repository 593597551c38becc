import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { SoakpError } from './errors.ts'
import type { OwnSecrets } from './own-secrets.ts'
import { Secret } from './secret.ts'

/** Knows the admin credential: its SHA-256 is kept in the vault, or the operator configured it. */
export interface Admin {
  /** Makes the credential if there is none yet and returns it then; undefined on every later start. */
  prepare(): Promise<Secret | undefined>
  /** Tells whether `credential` is the admin's, in constant time. */
  isCredential(credential: string): Promise<boolean>
  /** Tells whether `user` is the admin's name for HTTP Basic: Unicode form, case and outer spaces do not matter. */
  isUser(user: string): boolean
  /** Makes a new credential and ends the old one. Throws `SOAKP_ADMIN_CONFIGURED` where the operator configured it. */
  reset(): Promise<Secret>
}

const SECRET_ID = 'admin-credential'

/** Creates the admin. `configured` is `SOAKP_ADMIN_TOKEN`. */
export function createAdmin(secrets: OwnSecrets, user: string, configured: Secret | undefined): Admin {
  const configuredHash = configured === undefined ? undefined : hash(configured.reveal())

  async function currentHash(): Promise<Buffer | undefined> {
    if (configuredHash !== undefined) return configuredHash
    const stored = (await secrets.find(SECRET_ID)) as { sha256: string } | undefined
    return stored === undefined ? undefined : Buffer.from(stored.sha256, 'hex')
  }

  return {
    async prepare() {
      if (configuredHash !== undefined) return undefined
      const credential = newCredential()
      const { isNew } = await secrets.findOrMake(SECRET_ID, async () => sealable(credential))
      return isNew ? credential : undefined
    },

    async isCredential(credential) {
      const expected = await currentHash()
      return expected !== undefined && timingSafeEqual(expected, hash(credential))
    },

    isUser: (given) => canonical(given) === canonical(user),

    async reset() {
      if (configuredHash !== undefined) {
        const message = 'The admin credential is the one in SOAKP_ADMIN_TOKEN. Change it there and start again.'
        throw new SoakpError(409, 'SOAKP_ADMIN_CONFIGURED', message)
      }
      const credential = newCredential()
      await secrets.replace(SECRET_ID, sealable(credential))
      return credential
    },
  }
}

/** 256 random bits, so a fast hash is enough. The prefix lets scanners find a leaked one. */
function newCredential(): Secret {
  return new Secret(`soakp_admin_${randomBytes(32).toString('base64url')}`)
}

function sealable(credential: Secret): { sha256: string } {
  return { sha256: hash(credential.reveal()).toString('hex') }
}

function hash(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

function canonical(user: string): string {
  return user.normalize('NFC').trim().toLowerCase()
}
