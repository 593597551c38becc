import type { Kysely } from 'kysely'
import type { Store } from './index.ts'
import { readPage } from './sqlite-page.ts'
import type { Tables } from './sqlite-tables.ts'

type KeyMethods = 'insertKey' | 'findKey' | 'listKeys' | 'renameKey' | 'replaceKey' | 'deleteKey'

/** Keeps keys in SQLite. */
export function keyRecords(db: Kysely<Tables>): Pick<Store, KeyMethods> {
  return {
    async insertKey(record) {
      await db.insertInto('keys').values(record).execute()
    },

    findKey: (id) => db.selectFrom('keys').selectAll().where('id', '=', id).executeTakeFirst(),

    listKeys: (page) => readPage(db.selectFrom('keys').selectAll(), 'keys', page),

    renameKey: (id, name, now) =>
      db.updateTable('keys').set({ name, updated_at: now }).where('id', '=', id).returningAll().executeTakeFirst(),

    replaceKey: ({ id, version, envelope, updated_at }) =>
      db
        .updateTable('keys')
        .set({ version, envelope, updated_at })
        .where('id', '=', id)
        .where('version', '=', version - 1)
        .returningAll()
        .executeTakeFirst(),

    deleteKey: (id, now) =>
      db.transaction().execute(async (transaction) => {
        const { numDeletedRows } = await transaction.deleteFrom('keys').where('id', '=', id).executeTakeFirst()
        await transaction
          .updateTable('tokens')
          .set({ revoked_at: now })
          .where('key_id', '=', id)
          .where('revoked_at', 'is', null)
          .execute()
        const ofKey = transaction.selectFrom('tokens').select('id').where('key_id', '=', id)
        await transaction.deleteFrom('token_origins').where('token_id', 'in', ofKey).execute()
        return numDeletedRows > 0n
      }),
  }
}
