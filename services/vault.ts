import { assertBaseUrlAllowed, normaliseBaseUrl } from './base-url.ts'
import type { Binding, Cipher } from './cipher.ts'
import { SoakpError } from './errors.ts'
import { newIdentifier } from './identifiers.ts'
import { Secret } from './secret.ts'
import type { KeyRecord, Page, PageRequest, Store } from './stores/index.ts'

/** A key as it may be shown: everything but the key. Times are Unix seconds. */
export interface Key {
  readonly id: string
  readonly name: string
  readonly base_url: string
  readonly version: number
  readonly created_at: number
  readonly updated_at: number
}

/** What is needed to save a key. */
export interface NewKey {
  readonly key: string
  readonly name?: string | undefined
  readonly base_url?: string | undefined
  readonly organization?: string | undefined
  readonly project?: string | undefined
}

/** An opened key, for the upstream's headers only. */
export interface OpenedKey {
  readonly key: Secret
  readonly organization?: string | undefined
  readonly project?: string | undefined
}

/** Keeps upstream keys. There is no way to read one but `open`, and only the proxy calls it. */
export interface Vault {
  save(key: NewKey): Promise<Key>
  list(page: PageRequest): Promise<Page<Key>>
  /** Throws `SOAKP_KEY_NOT_FOUND`, as do the next three. */
  find(id: string): Promise<Key>
  rename(id: string, name: string): Promise<Key>
  /** Replaces the key itself; its tokens go on with the new one. Organization and project stay. */
  replace(id: string, key: string): Promise<Key>
  /** Deletes a key and ends its tokens. */
  remove(id: string): Promise<void>
  open(record: Pick<KeyRecord, 'base_url' | 'version' | 'envelope'> & { readonly id: string }): OpenedKey
  /** Opens a key by id, for checking it. Throws `SOAKP_KEY_NOT_FOUND`. */
  openById(id: string): Promise<OpenedKey & { readonly base_url: string }>
}

/** What the vault needs: `upstream` is the base URL of keys saved without one, `now` gives Unix seconds. */
export interface VaultOptions {
  readonly store: Store
  readonly cipher: Cipher
  readonly upstream: string
  readonly privateUpstreams: readonly string[]
  readonly now: () => number
}

interface KeyClaims {
  readonly key: string
  readonly organization?: string
  readonly project?: string
}

/** Creates the vault. */
export function createVault({ store, cipher, upstream, privateUpstreams, now }: VaultOptions): Vault {
  async function record(id: string): Promise<KeyRecord> {
    return (await store.findKey(id)) ?? notFound(id)
  }

  function open(row: Parameters<Vault['open']>[0]): OpenedKey {
    const claims = cipher.open(bindingOf(row), row.envelope) as KeyClaims
    return { key: new Secret(claims.key), organization: claims.organization, project: claims.project }
  }

  return {
    async save({ key, name, base_url, organization, project }) {
      assertPlausible(key)
      const baseUrl = base_url === undefined ? upstream : normaliseBaseUrl(base_url, 'base_url')
      assertBaseUrlAllowed(baseUrl, privateUpstreams, 'base_url')
      const time = now()
      const row = { id: newIdentifier('key'), base_url: baseUrl, version: 1 }
      const envelope = await cipher.seal(bindingOf(row), { key, organization, project, iat: time })
      const saved = { ...row, name: name ?? row.id, envelope, created_at: time, updated_at: time }
      await store.insertKey(saved)
      return shown(saved)
    },

    async list(page) {
      const { items, hasMore } = await store.listKeys(page)
      return { items: items.map(shown), hasMore }
    },

    find: async (id) => shown(await record(id)),

    rename: async (id, name) => shown((await store.renameKey(id, name, now())) ?? notFound(id)),

    async replace(id, key) {
      assertPlausible(key)
      const old = await record(id)
      const { organization, project } = open(old)
      const time = now()
      const row = { ...old, version: old.version + 1, updated_at: time }
      const envelope = await cipher.seal(bindingOf(row), { key, organization, project, iat: time })
      const replaced = await store.replaceKey({ ...row, envelope })
      if (replaced !== undefined) return shown(replaced)
      await record(id)
      throw new SoakpError(409, 'SOAKP_KEY_CHANGED', `The key ${id} was replaced by someone else just now. Try again.`)
    },

    async remove(id) {
      const found = await store.deleteKey(id, now())
      cipher.forget(id)
      if (!found) notFound(id)
    },

    open,

    async openById(id) {
      const row = await record(id)
      return { ...open(row), base_url: row.base_url }
    },
  }
}

function bindingOf(row: { readonly id: string; readonly base_url: string; readonly version: number }): Binding {
  return { type: 'soakp-key+jwt', id: row.id, audience: row.base_url, version: row.version }
}

function shown({ id, name, base_url, version, created_at, updated_at }: KeyRecord): Key {
  return { id, name, base_url, version, created_at, updated_at }
}

/** Whether a key works is the upstream's to say; this refuses only what no header can carry or what is no key at all. */
function assertPlausible(key: string): void {
  if (/^[\x21-\x7e]{8,4096}$/.test(key)) return
  const message =
    'The key must be 8 to 4096 visible ASCII characters without spaces, as the provider shows it: sk-… for OpenAI.'
  throw new SoakpError(400, 'SOAKP_KEY_INVALID', message, { param: 'key' })
}

function notFound(id: string): never {
  throw new SoakpError(404, 'SOAKP_KEY_NOT_FOUND', `There is no key ${id}. GET /soakp/keys lists them.`)
}
