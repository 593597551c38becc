import { closeSync, openSync } from 'node:fs'
import Database from 'better-sqlite3'
import { Kysely } from 'kysely'
import { Migrator } from 'kysely/migration'
import { migrations } from '../../migrations/index.ts'
import { hasErrorCode, SoakpError } from '../errors.ts'
import type { Store, StoreOptions } from './index.ts'
import { TransactionalDialect } from './sqlite-dialect.ts'
import { keyRecords } from './sqlite-keys.ts'
import { secretRecords } from './sqlite-secrets.ts'
import type { Tables } from './sqlite-tables.ts'
import { tokenRecords } from './sqlite-tokens.ts'

/** Opens the SQLCipher database, see `openStore` in `index.ts`. */
export async function openStore({ file, key }: StoreOptions): Promise<Store> {
  const connection = connect(file, key)
  try {
    const db = new Kysely<Tables>({ dialect: new TransactionalDialect(connection) })
    await migrate(db, file)
    const ping = connection.prepare('select 1')
    return {
      ...keyRecords(db),
      ...tokenRecords(db, connection),
      ...secretRecords(db),
      ping: () => void ping.get(),
      close: () => db.destroy(),
    }
  } catch (error) {
    connection.close()
    throw error
  }
}

/** The settings of `reference`: SQLCipher 4 with a raw key, and every commit on disk before it is acknowledged. */
function connect(file: string, key: string): Database.Database {
  let connection: Database.Database | undefined
  try {
    // SQLite gives its journals the mode of the database file.
    closeSync(openSync(file, 'a', 0o600))
    connection = new Database(file)
    connection.pragma("cipher = 'sqlcipher'")
    connection.pragma('legacy = 4')
    connection.pragma(`key = "x'${key}'"`)
    connection.pragma('journal_mode = WAL')
    connection.pragma('synchronous = FULL')
    connection.pragma('foreign_keys = ON')
    connection.pragma('secure_delete = ON')
    connection.pragma('temp_store = MEMORY')
    connection.pragma('trusted_schema = OFF')
    connection.pragma('busy_timeout = 5000')
    return connection
  } catch (cause) {
    connection?.close()
    throw new SoakpError(500, 'SOAKP_DATABASE_UNREADABLE', unreadable(file, cause), { cause })
  }
}

function unreadable(file: string, cause: unknown): string {
  if (hasErrorCode(cause, 'SQLITE_NOTADB')) {
    return `${file} does not open with this vault's key: it is another vault's, or no database of SOAKP. Restore it together with its seal from one backup.`
  }
  if (
    hasErrorCode(cause, 'SQLITE_CANTOPEN') ||
    hasErrorCode(cause, 'EACCES') ||
    hasErrorCode(cause, 'SQLITE_READONLY')
  ) {
    return `${file} cannot be opened for writing. Give this user the file and its folder, or set SOAKP_DATA_DIR.`
  }
  return `${file} cannot be opened (${cause instanceof Error ? cause.message : String(cause)}).`
}

async function migrate(db: Kysely<Tables>, file: string): Promise<void> {
  const migrator = new Migrator({ db, provider: { getMigrations: async () => migrations } })
  const unknown = (await executedMigrations(db)).filter((name) => !(name in migrations))
  if (unknown.length > 0) {
    const message = `${file} was written by a newer SOAKP (it knows ${unknown.join(', ')}). Start that version; nothing was changed.`
    throw new SoakpError(500, 'SOAKP_DATABASE_NEWER', message)
  }
  const { error } = await migrator.migrateToLatest()
  if (error !== undefined) {
    throw new SoakpError(500, 'SOAKP_MIGRATION', `${file} could not be brought up to date.`, { cause: error })
  }
}

async function executedMigrations(db: Kysely<Tables>): Promise<string[]> {
  const tables = await db.introspection.getTables({ withInternalKyselyTables: true })
  if (!tables.some((table) => table.name === 'kysely_migration')) return []
  const rows = await db.selectFrom('kysely_migration').select('name').execute()
  return rows.map((row) => row.name)
}
