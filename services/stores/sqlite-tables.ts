import type { KeyRecord, SecretRecord, TokenRecord } from './index.ts'

/** The tables as Kysely sees them; `migrations/` makes them. */
export interface Tables {
  readonly keys: KeyRecord
  readonly tokens: TokenRecord
  readonly token_origins: { readonly origin: string; readonly token_id: string }
  readonly token_days: { readonly token_id: string; readonly day: number; readonly requests: number }
  readonly secrets: SecretRecord
  readonly kysely_migration: { readonly name: string }
}
