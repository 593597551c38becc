/** A saved key. The envelope is the sealed key, see `services/cipher.ts`. Times are Unix seconds. */
export interface KeyRecord {
  readonly id: string
  readonly name: string
  readonly base_url: string
  readonly version: number
  readonly envelope: string
  readonly created_at: number
  readonly updated_at: number
}

/** A minted token. The policy is the JSON of `TokenPolicy`. */
export interface TokenRecord {
  readonly id: string
  readonly key_id: string
  readonly subject: string | null
  readonly name: string | null
  readonly policy: string
  readonly created_at: number
  readonly expires_at: number
  readonly revoked_at: number | null
  /** Which of its JWTs is the newest, from 1; each rotation makes the next. */
  readonly generation: number
  /** Until when the JWT before the newest is good; null before the first rotation. */
  readonly previous_until: number | null
}

/** A token that is to be inserted: its first JWT is the newest. */
export type NewTokenRecord = Omit<TokenRecord, 'generation' | 'previous_until'>

/** What a rotation changes. Times are Unix seconds. */
export interface Rotation {
  /** Until when the JWT before the new one is good, at the latest. */
  readonly previousUntil: number
  /** The token's new end; absent, it stays. */
  readonly expiresAt?: number | undefined
}

/** One of SOAKP's own secrets, sealed: the token signing key, the local authority, the admin credential's hash. */
export interface SecretRecord {
  readonly id: string
  readonly version: number
  readonly envelope: string
}

/** What a request needs to know of its token and that token's key. */
export interface Grant {
  readonly token_id: string
  readonly policy: string
  readonly generation: number
  readonly previous_until: number | null
  readonly key_id: string
  readonly base_url: string
  readonly version: number
  readonly envelope: string
}

/** Which part of a list is wanted: at most `limit` records that come after the record `after`, newest first. */
export interface PageRequest {
  readonly limit: number
  readonly after?: string | undefined
}

/** Part of a list; `hasMore` tells whether records follow. */
export interface Page<Item> {
  readonly items: readonly Item[]
  readonly hasMore: boolean
}

/**
 * Where records live. A promise that resolves means that the change is durable: it survives `kill -9` and power loss.
 * What is not found is undefined; an unknown `after` gives an empty page. Only the owner calls `close`, once.
 */
export interface Store {
  insertKey(record: KeyRecord): Promise<void>
  findKey(id: string): Promise<KeyRecord | undefined>
  listKeys(page: PageRequest): Promise<Page<KeyRecord>>
  renameKey(id: string, name: string, now: number): Promise<KeyRecord | undefined>
  /** Replaces the envelope if the stored version is `record.version - 1`; undefined if another replacement came first. */
  replaceKey(record: KeyRecord): Promise<KeyRecord | undefined>
  /** Deletes a key and revokes its tokens in one transaction. False when there was no such key. */
  deleteKey(id: string, now: number): Promise<boolean>

  insertToken(record: NewTokenRecord, origins: readonly string[]): Promise<void>
  findToken(id: string): Promise<TokenRecord | undefined>
  listTokens(page: PageRequest & { readonly keyId?: string | undefined }): Promise<Page<TokenRecord>>
  /** Revokes a token; one already revoked stays as it was. Undefined when there is no such token. */
  revokeToken(id: string, now: number): Promise<TokenRecord | undefined>
  /** Begins the next generation of a token that is live at `now`; undefined when it is not live or not there. */
  rotateToken(id: string, rotation: Rotation, now: number): Promise<TokenRecord | undefined>
  /** Forgets tokens that expired before a time, with all that belongs to them. */
  pruneTokens(before: number): Promise<void>
  /** Reads what a request needs, about 3 us: nothing is cached, so a revocation by any process holds at once. */
  findGrant(tokenId: string, now: number): Grant | undefined
  /** Tells whether a live token names this browser origin. */
  isOriginNamed(origin: string, now: number): boolean

  /** Requests of a token counted on a UTC day (days since 1970). */
  readRequests(tokenId: string, day: number): number
  /** Adds to the counts of a day; tokens that no longer exist are passed over. */
  addRequests(day: number, counts: ReadonlyMap<string, number>): Promise<void>

  findSecret(id: string): Promise<SecretRecord | undefined>
  /** Stores a secret unless one of that id exists; returns the one that is stored then. */
  insertSecret(record: SecretRecord): Promise<SecretRecord>
  /** Stores a secret in place of any other of that id. */
  putSecret(record: SecretRecord): Promise<void>
  /** Deletes a secret; one that is not there is fine. */
  deleteSecret(id: string): Promise<void>

  /** Throws when the store cannot be read. */
  ping(): void
  close(): Promise<void>
}

/** What a store needs to open. `key` is the hexadecimal SQLCipher key and salt, see `services/key-ring.ts`. */
export interface StoreOptions {
  readonly file: string
  readonly key: string
}

const stores = {
  sqlite: () => import('./sqlite.ts'),
}

/** The stores that can be opened, by name. */
export type StoreName = keyof typeof stores

/** Opens a store, bringing its tables up to date. Throws `SOAKP_DATABASE_NEWER`, `SOAKP_DATABASE_UNREADABLE`. */
export async function openStore(name: StoreName, options: StoreOptions): Promise<Store> {
  return (await stores[name]()).openStore(options)
}
