import type { Binding, Cipher } from './cipher.ts'
import type { Store } from './stores/index.ts'

/** Keeps SOAKP's own secrets in the vault: the token signing key, the local authority, certificates, the admin credential's hash. */
export interface OwnSecrets {
  /** Returns the secret of an id, or undefined. */
  find(id: string): Promise<unknown>
  /** Returns the secret of an id; makes and stores it first where there is none. Safe to race. */
  findOrMake<Value extends object>(id: string, make: () => Promise<Value>): Promise<{ value: Value; isNew: boolean }>
  /** Stores a secret in place of any other of that id. */
  replace(id: string, value: object): Promise<void>
  /** Deletes the secret of an id; one that is not there is fine. */
  remove(id: string): Promise<void>
}

/** Creates the keeper of SOAKP's own secrets. */
export function createOwnSecrets(store: Store, cipher: Cipher): OwnSecrets {
  const bindingOf = (id: string, version: number): Binding => ({
    type: 'soakp-secret+jwt',
    id,
    audience: 'soakp',
    version,
  })

  async function find(id: string): Promise<unknown> {
    const record = await store.findSecret(id)
    return record === undefined ? undefined : cipher.open(bindingOf(id, record.version), record.envelope)
  }

  return {
    find,

    async findOrMake<Value extends object>(id: string, make: () => Promise<Value>) {
      const known = await find(id)
      // The envelope is authenticated and bound to its id: what comes out is what was put in under it.
      if (known !== undefined) return { value: known as Value, isNew: false }
      const made = await make()
      const envelope = await cipher.seal(bindingOf(id, 1), made)
      const stored = await store.insertSecret({ id, version: 1, envelope })
      if (stored.envelope === envelope) return { value: made, isNew: true }
      return { value: cipher.open(bindingOf(id, stored.version), stored.envelope) as Value, isNew: false }
    },

    async replace(id, value) {
      const version = ((await store.findSecret(id))?.version ?? 0) + 1
      await store.putSecret({ id, version, envelope: await cipher.seal(bindingOf(id, version), value) })
      cipher.forget(id)
    },

    async remove(id) {
      await store.deleteSecret(id)
      cipher.forget(id)
    },
  }
}
