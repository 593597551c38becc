import type Database from 'better-sqlite3'
import { sql } from 'kysely'
import type { Kysely } from 'kysely'
import type { Grant, Store } from './index.ts'
import { readPage } from './sqlite-page.ts'
import type { Tables } from './sqlite-tables.ts'

type TokenMethods =
  | 'insertToken'
  | 'findToken'
  | 'listTokens'
  | 'revokeToken'
  | 'rotateToken'
  | 'pruneTokens'
  | 'findGrant'
  | 'isOriginNamed'
  | 'readRequests'
  | 'addRequests'

/** Keeps tokens and their counts in SQLite. What every request reads is a prepared statement: a tenth of Kysely's time. */
export function tokenRecords(db: Kysely<Tables>, connection: Database.Database): Pick<Store, TokenMethods> {
  const grant = connection.prepare<[string, number], Grant>(
    `select t.id as token_id, t.policy, t.generation, t.previous_until, k.id as key_id, k.base_url, k.version, k.envelope
     from tokens t join keys k on k.id = t.key_id
     where t.id = ? and t.revoked_at is null and t.expires_at > ?`,
  )
  const namedOrigin = connection.prepare<[string, number], { found: number }>(
    // Asked for by anybody's preflight, so its cost must not grow with the tokens that were. Revoking deletes the rows.
    'select 1 as found from token_origins where origin = ? and expires_at > ? limit 1',
  )
  const requests = connection.prepare<[string, number], { requests: number }>(
    'select requests from token_days where token_id = ? and day = ?',
  )

  return {
    insertToken: (record, origins) =>
      db.transaction().execute(async (transaction) => {
        await transaction.insertInto('tokens').values(record).execute()
        if (origins.length === 0) return
        const rows = origins.map((origin) => ({ origin, expires_at: record.expires_at, token_id: record.id }))
        await transaction.insertInto('token_origins').values(rows).execute()
      }),

    findToken: (id) => db.selectFrom('tokens').selectAll().where('id', '=', id).executeTakeFirst(),

    listTokens: ({ keyId, ...page }) => {
      const all = db.selectFrom('tokens').selectAll()
      return readPage(keyId === undefined ? all : all.where('key_id', '=', keyId), 'tokens', page)
    },

    revokeToken: (id, now) =>
      db.transaction().execute(async (transaction) => {
        const live = transaction.updateTable('tokens').where('id', '=', id).where('revoked_at', 'is', null)
        await live.set({ revoked_at: now }).execute()
        await transaction.deleteFrom('token_origins').where('token_id', '=', id).execute()
        return transaction.selectFrom('tokens').selectAll().where('id', '=', id).executeTakeFirst()
      }),

    rotateToken: (id, { previousUntil, expiresAt }, now) =>
      db.transaction().execute(async (transaction) => {
        const rotated = await transaction
          .updateTable('tokens')
          .set((each) => ({
            generation: each('generation', '+', 1),
            // The old JWT says itself when it ends; the right sides are the values from before.
            previous_until: sql<number>`min(${previousUntil}, expires_at)`,
            ...(expiresAt !== undefined && { expires_at: expiresAt }),
          }))
          .where('id', '=', id)
          .where('revoked_at', 'is', null)
          .where('expires_at', '>', now)
          .returningAll()
          .executeTakeFirst()
        if (rotated !== undefined) {
          const { expires_at } = rotated
          await transaction.updateTable('token_origins').set({ expires_at }).where('token_id', '=', id).execute()
        }
        return rotated
      }),

    async pruneTokens(before) {
      await db.deleteFrom('tokens').where('expires_at', '<', before).execute()
    },

    findGrant: (tokenId, now) => grant.get(tokenId, now),

    isOriginNamed: (origin, now) => namedOrigin.get(origin, now) !== undefined,

    readRequests: (tokenId, day) => requests.get(tokenId, day)?.requests ?? 0,

    addRequests: (day, counts) =>
      db.transaction().execute(async (transaction) => {
        for (const [tokenId, count] of counts) {
          await transaction
            .insertInto('token_days')
            .columns(['token_id', 'day', 'requests'])
            .expression((builder) =>
              builder
                .selectFrom('tokens')
                .select((each) => ['id as token_id', each.val(day).as('day'), each.val(count).as('requests')])
                .where('id', '=', tokenId),
            )
            .onConflict((conflict) =>
              conflict
                .columns(['token_id', 'day'])
                .doUpdateSet((each) => ({ requests: each('token_days.requests', '+', count) })),
            )
            .execute()
        }
      }),
  }
}
