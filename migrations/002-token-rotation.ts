import type { Kysely } from 'kysely'

/**
 * Lets a token be rotated: its JWTs are numbered, and the one before the last is good until `previous_until`, in Unix
 * seconds. JWTs from before carry no number and are the first.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .alterTable('tokens')
    .addColumn('generation', 'integer', (column) => column.notNull().defaultTo(1))
    .execute()
  await db.schema.alterTable('tokens').addColumn('previous_until', 'integer').execute()
}
