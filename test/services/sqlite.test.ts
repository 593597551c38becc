import { createHash, randomBytes } from 'node:crypto'
import { readFile, readdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { test } from 'tap'
import type { Test } from 'tap'
import { Kysely, SqliteDialect } from 'kysely'
import { Migrator } from 'kysely/migration'
import { migrations } from '../../migrations/index.ts'
import { openStore } from '../../services/stores/index.ts'
import type { KeyRecord, StoreOptions } from '../../services/stores/index.ts'

const fresh = (t: Test): StoreOptions => ({ file: join(t.testdir(), 'soakp.db'), key: randomBytes(48).toString('hex') })

const keyOf = (id: string, envelope = 'e'): KeyRecord => {
  const times = { created_at: 10, updated_at: 10 }
  return { id, name: 'n', base_url: 'https://api.openai.com/v1', version: 1, envelope, ...times }
}

const hashOf = async (file: string) =>
  createHash('sha256')
    .update(await readFile(file))
    .digest('hex')

function openRaw({ file, key }: StoreOptions): Database.Database {
  const connection = new Database(file)
  for (const pragma of ["cipher = 'sqlcipher'", 'legacy = 4', `key = "x'${key}'"`]) connection.pragma(pragma)
  return connection
}

test('the file is encrypted, mode 0600, and every commit is on disk before it is acknowledged', async (t) => {
  const options = fresh(t)
  const store = await openStore('sqlite', options)
  await store.insertKey(keyOf('key_canary'))
  for (const end of ['', '-wal', '-shm'])
    t.equal((await stat(options.file + end)).mode & 0o777, 0o600, `soakp.db${end}`)
  await store.close()
  const content = await readFile(options.file)
  t.notOk(content.includes('key_canary') || content.includes('SQLite format 3') || content.includes('create table'))
  const raw = openRaw(options)
  t.teardown(() => raw.close())
  t.match(raw.prepare('select id from keys').all(), [{ id: 'key_canary' }])
  t.equal(raw.pragma('journal_mode', { simple: true }), 'wal')
})

test('a wrong key, another file and a folder are refused in a sentence, and nothing is changed', async (t) => {
  const options = fresh(t)
  await (await openStore('sqlite', options)).close()
  const before = await hashOf(options.file)
  const unreadable = { statusCode: 500, code: 'SOAKP_DATABASE_UNREADABLE' }
  const wrongKey = { ...options, key: randomBytes(48).toString('hex') }
  await t.rejects(openStore('sqlite', wrongKey), { ...unreadable, message: /another vault's.*backup/ })
  t.equal(await hashOf(options.file), before)
  await (await openStore('sqlite', options)).close()
  const text = join(options.file, '../notes.txt')
  await writeFile(text, 'These are my notes. '.repeat(500))
  await t.rejects(openStore('sqlite', { ...options, file: text }), unreadable)
  t.equal(await readFile(text, 'utf8'), 'These are my notes. '.repeat(500))
  await t.rejects(openStore('sqlite', { ...options, file: join(options.file, '..') }), unreadable)
  await t.rejects(openStore('sqlite', { ...options, file: join(options.file, 'x', 'soakp.db') }), unreadable)
})

test('a damaged page is not read as if nothing were', async (t) => {
  const options = fresh(t)
  const store = await openStore('sqlite', options)
  for (let number = 0; number < 50; number += 1) await store.insertKey(keyOf(`key_${number}`, 'e'.repeat(2_000)))
  await store.close()
  const content = await readFile(options.file)
  const at = content.length - 5_000
  content.writeUInt8(content.readUInt8(at) ^ 1, at)
  await writeFile(options.file, content)
  const read = async () => {
    const damaged = await openStore('sqlite', options)
    t.teardown(() => damaged.close())
    return damaged.listKeys({ limit: 100 })
  }
  await t.rejects(read())
})

test('a database of a newer version is refused and not changed', async (t) => {
  const options = fresh(t)
  await (await openStore('sqlite', options)).close()
  const raw = openRaw(options)
  raw.prepare("insert into kysely_migration (name, timestamp) values ('999-of-the-future', '2030')").run()
  raw.close()
  const before = await hashOf(options.file)
  const newer = { statusCode: 500, code: 'SOAKP_DATABASE_NEWER', message: /999-of-the-future.*nothing was changed/ }
  for (let time = 0; time < 2; time += 1) await t.rejects(openStore('sqlite', options), newer)
  t.equal(await hashOf(options.file), before)
  t.same(await readdir(join(options.file, '..')), ['soakp.db'], 'and no journal is left')
})

test('a database from before rotation is brought up to date, and its tokens are of the first generation', async (t) => {
  const options = fresh(t)
  const { '001-keys-and-tokens': first } = migrations
  t.ok(first)
  const db = new Kysely({ dialect: new SqliteDialect({ database: openRaw(options) }) })
  const provider = { getMigrations: async () => ({ ...(first && { '001-keys-and-tokens': first }) }) }
  t.equal((await new Migrator({ db, provider }).migrateToLatest()).error, undefined)
  await db.destroy()
  const raw = openRaw(options)
  const columns = '(id, key_id, policy, created_at, expires_at, revoked_at)'
  raw.exec(
    `insert into tokens ${columns} values ('tok_1', 'key_1', '{}', 1, 90, null), ('tok_2', 'key_1', '{}', 1, 90, 5)`,
  )
  raw.close()
  const store = await openStore('sqlite', options)
  t.teardown(() => store.close())
  await store.insertKey(keyOf('key_1'))
  t.match(store.findGrant('tok_1', 50), { token_id: 'tok_1', generation: 1, previous_until: null })
  t.match(await store.rotateToken('tok_1', { previousUntil: 60 }, 50), { generation: 2, previous_until: 60 })
  t.equal(await store.rotateToken('tok_2', { previousUntil: 60 }, 50), undefined, 'and one revoked stays so')
})
