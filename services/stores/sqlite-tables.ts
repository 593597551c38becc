import type { ColumnType } from 'kysely'
import type { KeyRecord, NewTokenRecord, SecretRecord, TokenRecord } from './index.ts'

/** The tables as Kysely sees them; `migrations/` makes them. */
export interface Tables {
  readonly keys: KeyRecord
  readonly tokens: NewTokenRecord & {
    readonly generation: Defaulted<TokenRecord['generation']>
    readonly previous_until: Defaulted<TokenRecord['previous_until']>
  }
  readonly token_origins: { readonly origin: string; readonly expires_at: number; readonly token_id: string }
  readonly token_days: { readonly token_id: string; readonly day: number; readonly requests: number }
  readonly secrets: SecretRecord
  readonly kysely_migration: { readonly name: string }
}

/** A column that a new row need not name. */
type Defaulted<Value> = ColumnType<Value, Value | undefined, Value>
