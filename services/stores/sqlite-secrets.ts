import type { Kysely } from 'kysely'
import type { Store } from './index.ts'
import type { Tables } from './sqlite-tables.ts'

type SecretMethods = 'findSecret' | 'insertSecret' | 'putSecret' | 'deleteSecret'

/** Keeps SOAKP's own sealed secrets in SQLite. */
export function secretRecords(db: Kysely<Tables>): Pick<Store, SecretMethods> {
  const read = db.selectFrom('secrets').selectAll()

  return {
    findSecret: (id) => read.where('id', '=', id).executeTakeFirst(),

    async insertSecret(record) {
      await db
        .insertInto('secrets')
        .values(record)
        .onConflict((conflict) => conflict.column('id').doNothing())
        .execute()
      return read.where('id', '=', record.id).executeTakeFirstOrThrow()
    },

    async putSecret({ id, version, envelope }) {
      await db
        .insertInto('secrets')
        .values({ id, version, envelope })
        .onConflict((conflict) => conflict.column('id').doUpdateSet({ version, envelope }))
        .execute()
    },

    async deleteSecret(id) {
      await db.deleteFrom('secrets').where('id', '=', id).execute()
    },
  }
}
