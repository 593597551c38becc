import { sql } from 'kysely'
import type { Kysely } from 'kysely'

/** Makes the tables of keys, tokens, SOAKP's own secrets, settings and usage. Times are Unix seconds. */
export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('keys')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('base_url', 'text', (column) => column.notNull())
    .addColumn('version', 'integer', (column) => column.notNull())
    .addColumn('envelope', 'text', (column) => column.notNull())
    .addColumn('created_at', 'integer', (column) => column.notNull())
    .addColumn('updated_at', 'integer', (column) => column.notNull())
    .modifyEnd(sql`strict`)
    .execute()
  await db.schema
    .createTable('tokens')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('key_id', 'text', (column) => column.notNull())
    .addColumn('subject', 'text')
    .addColumn('name', 'text')
    .addColumn('policy', 'text', (column) => column.notNull())
    .addColumn('created_at', 'integer', (column) => column.notNull())
    .addColumn('expires_at', 'integer', (column) => column.notNull())
    .addColumn('revoked_at', 'integer')
    .modifyEnd(sql`strict`)
    .execute()
  await db.schema.createIndex('tokens_key_id').on('tokens').column('key_id').execute()
  await db.schema
    .createTable('token_origins')
    .addColumn('origin', 'text', (column) => column.notNull())
    .addColumn('expires_at', 'integer', (column) => column.notNull())
    .addColumn('token_id', 'text', (column) => column.notNull().references('tokens.id').onDelete('cascade'))
    .addPrimaryKeyConstraint('token_origins_key', ['origin', 'expires_at', 'token_id'])
    .modifyEnd(sql`strict, without rowid`)
    .execute()
  await db.schema.createIndex('token_origins_token_id').on('token_origins').column('token_id').execute()
  await db.schema
    .createTable('token_days')
    .addColumn('token_id', 'text', (column) => column.notNull().references('tokens.id').onDelete('cascade'))
    .addColumn('day', 'integer', (column) => column.notNull())
    .addColumn('requests', 'integer', (column) => column.notNull())
    .addPrimaryKeyConstraint('token_days_key', ['token_id', 'day'])
    .modifyEnd(sql`strict, without rowid`)
    .execute()
  await db.schema
    .createTable('secrets')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('version', 'integer', (column) => column.notNull())
    .addColumn('envelope', 'text', (column) => column.notNull())
    .modifyEnd(sql`strict`)
    .execute()
}
