import { sql } from 'kysely'
import type { SelectQueryBuilder } from 'kysely'
import type { Page, PageRequest } from './index.ts'
import type { Tables } from './sqlite-tables.ts'

/** Reads one page, newest first. The row id is the order of insertion, so equal times do not shuffle. */
export async function readPage<Table extends 'keys' | 'tokens', Item>(
  query: SelectQueryBuilder<Tables, Table, Item>,
  table: Table,
  { limit, after }: PageRequest,
): Promise<Page<Item>> {
  const from = sql.table(table)
  const older =
    after === undefined ? query : query.where(sql<boolean>`rowid < (select rowid from ${from} where id = ${after})`)
  const items = await older
    .orderBy(sql`rowid`, 'desc')
    .limit(limit + 1)
    .execute()
  return { items: items.slice(0, limit), hasMore: items.length > limit }
}
