import type { Database } from 'better-sqlite3'
import { SqliteAdapter, SqliteDialect, SqliteDriver } from 'kysely'
import type { DatabaseConnection } from 'kysely'

/** Kysely's dialect of SQLite, but for how transactions are made and undone. */
export class TransactionalDialect extends SqliteDialect {
  readonly #database: Database

  constructor(database: Database) {
    super({ database })
    this.#database = database
  }

  override createAdapter(): SqliteAdapter {
    return new TransactionalAdapter()
  }

  override createDriver(): SqliteDriver {
    return new TransactionalDriver(this.#database)
  }
}

/** Kysely runs migrations without a transaction on SQLite, which would leave half of one behind when killed. */
class TransactionalAdapter extends SqliteAdapter {
  override get supportsTransactionalDdl(): boolean {
    return true
  }
}

class TransactionalDriver extends SqliteDriver {
  readonly #database: Database

  constructor(database: Database) {
    super({ database })
    this.#database = database
  }

  /** After a full disk SQLite has rolled back by itself, and the failure to do it again would hide why. */
  override async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    if (this.#database.inTransaction) await super.rollbackTransaction(connection)
  }
}
