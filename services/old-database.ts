import { stat, readFile } from 'node:fs/promises'
import Database from 'better-sqlite3'
import { SoakpError, hasErrorCode } from './errors.ts'
import { Secret } from './secret.ts'

/** Where the tokens are. */
export interface OldTable {
  readonly table: string
  readonly column: string
}

/** A key that was found, and how many tokens contain it. */
export interface OldKey {
  readonly key: Secret
  readonly organization: string | undefined
  readonly project: string | undefined
  readonly tokens: number
  /** Those of them that the 2023 soakp had archived. */
  readonly archived: number
}

/** What a database of the 2023 soakp held: each key once, and the rows of which nothing came. */
export interface OldDatabase {
  readonly keys: readonly OldKey[]
  readonly unreadable: readonly { readonly row: number; readonly message: string }[]
}

const HEADER = 'SQLite format 3\0'
/** Offsets 18 and 19 of the header: 2 for a write-ahead log, 1 for a journal (SQLite file format, section 1.3.3). */
const WRITE_VERSION = 18
const READ_VERSION = 19

/**
 * Reads a database of the 2023 soakp, whose rows are JWTs that contain the key in the clear. The file is read into memory
 * and opened there, so that it stays as it is and no file comes to lie beside it.
 * Throws `SOAKP_OLD_DATABASE`; rows that hold no key are listed and hinder nothing.
 */
export async function readOldDatabase(file: string, table: OldTable): Promise<OldDatabase> {
  const bytes = await readWhole(file)
  bytes[WRITE_VERSION] = bytes[READ_VERSION] = 1
  let database: Database.Database | undefined
  try {
    database = new Database(bytes, { readonly: true })
    database.pragma('trusted_schema = OFF')
    return readRows(database, file, table)
  } catch (cause) {
    if (cause instanceof SoakpError) throw cause
    throw refused(`${file} is damaged or no SQLite database: ${(cause as Error).message}.`, cause)
  } finally {
    database?.close()
  }
}

async function readWhole(file: string): Promise<Buffer> {
  let bytes: Buffer
  try {
    bytes = await readFile(file)
  } catch (cause) {
    if (hasErrorCode(cause, 'ENOENT')) throw refused(`There is no file ${file}.`, cause)
    throw refused(`${file} cannot be read (${(cause as NodeJS.ErrnoException).code}).`, cause)
  }
  if (!bytes.subarray(0, HEADER.length).equals(Buffer.from(HEADER))) {
    throw refused(`${file} is no SQLite database, or it is encrypted. The 2023 soakp's is plain: SQLITE_DB named it.`)
  }
  for (const suffix of ['-wal', '-journal']) {
    const beside = await stat(file + suffix).catch(() => undefined)
    if (beside === undefined || beside.size === 0) continue
    throw refused(
      `${file}${suffix} lies beside it: the old soakp is running or was killed, and part of its data is there. ` +
        `Stop it, bring the file in order (sqlite3 ${file} 'pragma wal_checkpoint(truncate)'), and try again.`,
    )
  }
  return bytes
}

function readRows(database: Database.Database, file: string, { table, column }: OldTable): OldDatabase {
  const columns = columnsOf(database, file, table)
  if (!columns.includes(column)) {
    throw refused(`The table ${table} of ${file} has no column ${column}; it has ${columns.join(', ')}. Give --column.`)
  }
  const archived = columns.includes('archived') ? quoted('archived') : '0'
  const rows = database
    .prepare<[], { token: unknown; archived: unknown }>(
      `select ${quoted(column)} as token, ${archived} as archived from ${quoted(table)}`,
    )
    .iterate()
  const keys = new Map<string, OldKey>()
  const unreadable: { row: number; message: string }[] = []
  let row = 1
  try {
    for (const each of rows) {
      const found = keyIn(each.token)
      if (typeof found === 'string') unreadable.push({ row, message: found })
      else keys.set(found.key.reveal(), counted(keys.get(found.key.reveal()) ?? found, Number(each.archived) === 1))
      row += 1
    }
  } catch (error) {
    const message = `The database is damaged here and cannot be read further: ${(error as Error).message}.`
    unreadable.push({ row, message })
  }
  return { keys: [...keys.values()], unreadable }
}

function columnsOf(database: Database.Database, file: string, table: string): string[] {
  const names = (sql: string, ...parameters: string[]) =>
    database
      .prepare<string[], { name: string }>(sql)
      .all(...parameters)
      .map(({ name }) => name)
  const columns = names('select name from pragma_table_info(?)', table)
  if (columns.length > 0) return columns
  const tables = names("select name from sqlite_schema where type = 'table' and name not like 'sqlite_%'")
  const there = tables.length === 0 ? 'no table at all' : `the tables ${tables.join(', ')}`
  throw refused(`${file} has no table ${table}; it has ${there}. Give --table.`)
}

/** Takes the key out of a JWT. Returns a sentence where there is none. The signature was made by a secret of the past. */
function keyIn(token: unknown): OldKey | string {
  if (typeof token !== 'string') return 'It holds no text.'
  const parts = token.trim().split('.')
  if (parts.length === 5) return 'It is encrypted, which the tokens of the 2023 soakp were not.'
  if (parts.length !== 3) return 'It is no JWT.'
  try {
    const claims = JSON.parse(Buffer.from(parts[1] ?? '', 'base64url').toString()) as Record<string, unknown> | null
    const key = textOf(claims?.['key'])
    if (key === undefined) return 'It is a JWT without a key in it.'
    const organization = textOf(claims?.['org']) ?? textOf(claims?.['orgId'])
    return { key: new Secret(key), organization, project: textOf(claims?.['project']), tokens: 0, archived: 0 }
  } catch {
    return 'It is no JWT that can be read.'
  }
}

function counted(key: OldKey, isArchived: boolean): OldKey {
  return { ...key, tokens: key.tokens + 1, archived: key.archived + (isArchived ? 1 : 0) }
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' && value.trim() !== '' ? value.trim() : undefined
}

function quoted(name: string): string {
  return `"${name.replaceAll('"', '""')}"`
}

function refused(message: string, cause?: unknown): SoakpError {
  return new SoakpError(400, 'SOAKP_OLD_DATABASE', message, { cause })
}
