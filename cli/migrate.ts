import { realpathSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { Command } from 'commander'
import { readConfiguration } from '../services/configuration.ts'
import { SoakpError } from '../services/errors.ts'
import { openMigratedKeys } from '../services/migrated-keys.ts'
import type { MigratedKeys } from '../services/migrated-keys.ts'
import { readOldDatabase } from '../services/old-database.ts'
import type { OldDatabase, OldKey, OldTable } from '../services/old-database.ts'
import type { Secret } from '../services/secret.ts'
import type { MintedToken } from '../services/tokens.ts'
import type { Key } from '../services/vault.ts'
import { queryOf, show, withJson } from './answers.ts'
import type { List, OutputOptions } from './answers.ts'
import { RefusedCall, withConnection } from './connection.ts'
import type { Connection } from './connection.ts'
import { EXIT } from './failures.ts'
import { localTime } from './output.ts'
import { shellWord } from './package.ts'

/** What became of one key of the old database. */
interface Migrated {
  readonly status: 'saved' | 'known' | 'failed'
  readonly id: string | null
  readonly name: string
  /** How many old tokens contain the key, and how many of them were archived. */
  readonly old_tokens: number
  readonly archived_tokens: number
  /** The new token, this once only; null unless the key was saved just now. */
  readonly token: MintedToken | null
  readonly message: string
}

interface Migration {
  readonly object: 'migration'
  readonly data: readonly Migrated[]
  readonly unreadable_rows: OldDatabase['unreadable']
  /** Old tokens whose key everybody can read who has seen one. */
  readonly leaked_tokens: number
  readonly message: string
}

const BEFORE = 'It was saved before.'

/** Adds `soakp migrate`. */
export function addMigrateCommand(program: Command): void {
  withJson(program.command('migrate <file>'))
    .description("take the keys out of a database of the 2023 soakp, whose tokens contain them; it isn't changed")
    .option('--table <name>', 'the table of its tokens', 'tokens')
    .option('--column <name>', 'the column that holds them', 'token')
    .action(migrate)
}

async function migrate(given: string, { table, column, ...output }: OutputOptions & OldTable): Promise<void> {
  const file = resolve(given)
  refuseOwnDatabase(file)
  const old = await readOldDatabase(file, { table, column })
  const data = old.keys.length === 0 ? [] : await saveAll(old.keys)
  const leaked = old.keys.reduce((sum, { tokens }) => sum + tokens, 0)
  const value: Migration = {
    object: 'migration',
    data,
    unreadable_rows: old.unreadable,
    leaked_tokens: leaked,
    message: leaked === 0 ? `No key was found in ${file}.` : warning(file, leaked),
  }
  show({ text: JSON.stringify(value), value }, output, lines)
  if (old.unreadable.length > 0 || data.some(({ status }) => status === 'failed')) process.exitCode = EXIT.failed
}

/** Where its own database belongs, SOAKP would take the old one for a vault without a seal. */
function refuseOwnDatabase(file: string): void {
  // Of a copy: reading takes the secrets out of an environment, and they are needed once more.
  const { databaseFile } = readConfiguration({ ...process.env }, process.cwd()).configuration
  if (file !== databaseFile && realPath(file) !== realPath(databaseFile)) return
  const message = `${file} is where SOAKP's own database belongs. Move the old one elsewhere and migrate it from there.`
  throw new SoakpError(400, 'SOAKP_OLD_DATABASE', message)
}

function realPath(file: string): string {
  try {
    return realpathSync(file)
  } catch {
    return file
  }
}

async function saveAll(keys: readonly OldKey[]): Promise<Migrated[]> {
  return withConnection(
    async (soakp) => {
      const memory = await openMigratedKeys(join(soakp.configuration.dataDir, 'migrated.json'))
      const migrated: Migrated[] = []
      for (const key of keys) migrated.push(await saveOnce(soakp, memory, key))
      return migrated
    },
    { mayMake: true },
  )
}

/**
 * Saves a key unless it was saved before. Whatever fails is told of this key alone: the tokens of those before it are
 * shown once only, and the next ones get their turn.
 */
async function saveOnce(soakp: Connection, memory: MigratedKeys, old: OldKey): Promise<Migrated> {
  const name = memory.nameOf(old.key)
  const base = { name, old_tokens: old.tokens, archived_tokens: old.archived, token: null }
  try {
    const known = await findSaved(soakp, memory, old.key)
    if (known !== undefined) return { ...base, status: 'known', ...known }
    const { organization, project } = old
    const body = { key: old.key.reveal(), name, organization, project }
    const { value } = await soakp.call<Key & { token: MintedToken }>('POST', '/soakp/keys', body)
    // If it fails, a further run finds the key by its name.
    await memory.remember(old.key, value.id).catch(() => undefined)
    return { ...base, status: 'saved', id: value.id, token: value.token, message: 'It is saved.' }
  } catch (error) {
    const message = error instanceof SoakpError ? error.message : 'SOAKP could not be reached any more.'
    return { ...base, status: 'failed', id: null, message }
  }
}

async function findSaved(
  soakp: Connection,
  memory: MigratedKeys,
  key: Secret,
): Promise<{ id: string; message: string } | undefined> {
  const known = memory.find(key)
  if (known !== undefined) return lookUp(soakp, known)
  const id = await findByName(soakp, memory.nameOf(key))
  if (id === undefined) return undefined
  await memory.remember(key, id)
  return { id, message: BEFORE }
}

/** Says what became of a key that was migrated before. One that was deleted since is not brought back. */
async function lookUp(soakp: Connection, id: string): Promise<{ id: string; message: string }> {
  try {
    await soakp.call<Key>('GET', `/soakp/keys/${id}`)
    return { id, message: BEFORE }
  } catch (error) {
    if (!(error instanceof RefusedCall) || error.statusCode !== 404) throw error
    return { id, message: 'It was saved before and has been deleted since.' }
  }
}

async function findByName(soakp: Connection, name: string): Promise<string | undefined> {
  let after: string | undefined
  for (;;) {
    const page = (await soakp.call<List<Key>>('GET', `/soakp/keys${queryOf({ limit: 100, after })}`)).value
    const found = page.data.find((key) => key.name === name)
    after = page.data.at(-1)?.id
    if (found !== undefined || !page.has_more) return found?.id
  }
}

function lines({ data, unreadable_rows, message }: Migration): string[] {
  return [
    ...data.flatMap(keyLines),
    ...unreadable_rows.map(({ row, message: why }) => `Row ${row}  not read: ${why}`),
    ...(data.length + unreadable_rows.length === 0 ? [] : ['']),
    message,
  ]
}

function keyLines({ status, id, name, token, message, old_tokens, archived_tokens }: Migrated): string[] {
  const archived = archived_tokens === 0 ? '' : `, ${archived_tokens} archived`
  const from = `from ${old_tokens} old token${old_tokens === 1 ? '' : 's'}${archived}`
  if (status === 'failed' || id === null) return [`Key    not saved, ${from}: ${message}`]
  const first = `Key    ${id} (${name}), ${from}${token === null ? `: ${message}` : ''}`
  if (token === null) return [first]
  return [first, `Token  ${token.token}`, `       ${token.id}, shown this once, until ${localTime(token.expires_at)}`]
}

function warning(file: string, leaked: number): string {
  const tokens = leaked === 1 ? 'The old token' : `Each of the ${leaked} old tokens`
  return (
    `${tokens} must be treated as a leaked key: whoever has seen one can read the key in it. For every key above, make ` +
    'a new one at its provider, put it in its place with `soakp keys replace <id>`, and delete the old one at the ' +
    `provider. ${shellWord(file)} holds the keys in the clear: delete it afterwards, its backups too.`
  )
}
