import { createHmac } from 'node:crypto'
import { mkdir, readFile, readdir, rename, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { test } from 'tap'
import type { Test } from 'tap'
import { run } from './support/process.ts'
import type { Ended } from './support/process.ts'
import { fingerprint } from './support/raw-vault.ts'
import { startSoakp, temporaryFolder } from './support/soakp.ts'

/** Keys as they were given out in 2023 and as they are now. */
const OLD = 'sk-AbCdEfGhIjKlMnOpQrStUvWxYz0123456789AbCdEfGhIjKl'
const PROJECT = 'sk-proj-canary-of-the-migration-5Zb8qW1r_7x'

/** A JWT as the 2023 soakp made them: HS256, the key in its payload. */
function oldToken(claims: object): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
  const text = `${part({ alg: 'HS256', typ: 'JWT' })}.${part(claims)}`
  return `${text}.${createHmac('sha256', 'jQQJjmb0BP2Q8033').update(text).digest('base64url')}`
}

const claimsOf = (key: string, iat: number) => ({
  key,
  iat,
  exp: iat + 86_400,
  aud: 'user',
  iss: 'soakp',
  sub: 'openai-api',
})

/** Makes a database with the schema of 2023 and these tokens; an array says that it is archived. */
function makeOld(
  file: string,
  tokens: readonly unknown[],
  { table = 'tokens', column = 'token', mode = 'delete' } = {},
) {
  const database = new Database(file)
  database.pragma(`journal_mode = ${mode}`)
  const quoted = `"${table.replaceAll('"', '""')}"`
  database.exec(`create table ${quoted} (id integer primary key, "${column}" text unique, created_at integer not null,
    updated_at integer not null, last_access integer not null, archived integer not null check (archived in (0, 1)))`)
  const insert = database.prepare(`insert into ${quoted} values (null, ?, 1, 1, 1, ?)`)
  for (const each of tokens) insert.run(Array.isArray(each) ? each[0] : each, Array.isArray(each) ? 1 : 0)
  database.close()
}

/** Runs `soakp migrate` and checks that no key, and no old token, is printed. */
async function migrate(t: Test, environment: Record<string, string>, ...words: string[]): Promise<Ended> {
  const ended = await run(t, process.execPath, ['bin/soakp.js', 'migrate', ...words], { environment }).ended
  for (const key of [OLD, PROJECT, Buffer.from(OLD.slice(0, 30)).toString('base64')]) {
    t.notOk((ended.stdout + ended.stderr).includes(key), 'no key is printed')
  }
  return ended
}

test('each key is saved once, by the running server, and its new token works', async (t) => {
  const server = await startSoakp(t)
  const folder = await temporaryFolder(t)
  const file = join(folder, 'soakp_secrets.sqlite')
  const { key } = server.upstream
  makeOld(file, [
    oldToken(claimsOf(key, 1_690_000_000)),
    oldToken(claimsOf(OLD, 1_690_000_001)),
    oldToken(claimsOf(key, 1_690_000_002)),
    [oldToken({ ...claimsOf(PROJECT, 1_690_000_003), org: 'org-1' })],
  ])
  const before = await fingerprint(folder)
  const environment = { SOAKP_DATA_DIR: server.dataDir, SOAKP_UPSTREAM: server.upstream.url }
  const { code, stdout, stderr } = await migrate(t, environment, file, '--json')
  t.equal(code, 0, stderr)
  t.notOk(stdout.includes(key))
  const value = JSON.parse(stdout)
  t.match(value, {
    object: 'migration',
    data: [
      { status: 'saved', id: /^key_/, name: /^migrated [0-9a-f]{8}$/, old_tokens: 2, archived_tokens: 0 },
      { status: 'saved', old_tokens: 1 },
      { status: 'saved', old_tokens: 1, archived_tokens: 1 },
    ],
    unreadable_rows: [],
    leaked_tokens: 4,
    message: /^Each of the 4 old tokens must be treated as a leaked key: .*soakp keys replace <id>/,
  })
  t.same(await fingerprint(folder), before, 'the old file is as it was, and nothing lies beside it')
  const models = await server.openai(value.data[0].token.token).models.list()
  t.ok(models.data.length > 0)
  const headers = { authorization: `Bearer ${value.data[2].token.token}` }
  await server.call('GET', '/v1/models', { headers })
  const sent = server.upstream.requests.at(-1)?.rawHeaders.join('\n')
  t.match(sent, `Bearer ${PROJECT}`)
  t.match(sent, 'org-1', 'the organization goes with it')

  // Renamed or deleted since, and found by its name alone: none is saved again.
  const [first, second, third] = value.data.map(({ id }: { id: string }) => id)
  await server.manage('PATCH', `/soakp/keys/${first}`, { name: 'production' })
  await server.manage('DELETE', `/soakp/keys/${second}`)
  const memory = join(server.dataDir, 'migrated.json')
  const { salt, keys } = JSON.parse(await readFile(memory, 'utf8'))
  const forgotten = Object.fromEntries(Object.entries(keys).filter(([, id]) => id !== third))
  await writeFile(memory, JSON.stringify({ salt, keys: forgotten }))
  const again = await migrate(t, environment, file)
  t.equal(again.code, 0, again.stderr)
  t.match(
    again.stdout,
    new RegExp(`^Key +${first} \\(migrated \\w+\\), from 2 old tokens: It was saved before\\.$`, 'm'),
  )
  t.match(again.stdout, new RegExp(`^Key +${second} .*: It was saved before and has been deleted since\\.$`, 'm'))
  t.match(again.stdout, new RegExp(`^Key +${third} .*, from 1 old token, 1 archived: It was saved before\\.$`, 'm'))
  t.notMatch(again.stdout, /^Token/m)
  t.equal((await server.manage('GET', '/soakp/keys')).body.data.length, 2)
  t.equal((await stat(memory)).mode & 0o777, 0o600)
  for (const each of [key, OLD, PROJECT])
    t.notOk((await readFile(memory, 'utf8')).includes(each), 'no key is remembered')
})

test('without a server a new vault is made, other names are found, and what cannot be read is told', async (t) => {
  const folder = await temporaryFolder(t)
  const file = join(folder, 'old.sqlite')
  const rows = [
    'not a token',
    null,
    'eyJhbGciOiJkaXIifQ.a.b.c.d',
    oldToken(claimsOf(OLD, 1)),
    oldToken({ user: 'alice' }),
    'a.!!!.c',
    oldToken(claimsOf('a key with spaces', 1)),
    oldToken(claimsOf(PROJECT, 1)),
  ]
  makeOld(file, rows, { table: 'my "tokens"', column: 'the token', mode: 'wal' })
  const environment = { SOAKP_DATA_DIR: join(folder, 'data') }
  const before = await readFile(file)
  const { code, stdout, stderr } = await migrate(
    t,
    environment,
    file,
    '--table',
    'my "tokens"',
    '--column',
    'the token',
  )
  t.equal(code, 1, 'not everything was migrated')
  t.match(stderr, /^Admin {2}soakp_admin_\S+ .*shown this once/)
  t.match(
    stdout,
    /^Key +key_\S+ \(migrated \w+\), from 1 old token\nToken +ey\S+\n +tok_\S+, shown this once, until \d{4}/,
  )
  t.match(stdout, /^Key +not saved, from 1 old token: The key must be 8 to 4096 visible ASCII characters/m)
  t.equal(stdout.match(/^Token /gm)?.length, 2)
  t.match(
    stdout,
    /^Row 1 +not read: It is no JWT\.\nRow 2 +not read: It holds no text\.\nRow 3 +not read: It is encrypted/m,
  )
  t.match(
    stdout,
    /^Row 5 +not read: It is a JWT without a key in it\.\nRow 6 +not read: It is no JWT that can be read\.$/m,
  )
  t.match(stdout, /^Each of the 3 old tokens must be treated as a leaked key/m)
  t.ok(before.equals(await readFile(file)))
  t.same((await readdir(folder)).toSorted(), ['data', 'old.sqlite'])
})

test('what is no old database is refused in a sentence, and no vault is made for it', async (t) => {
  const folder = await temporaryFolder(t)
  const [good, empty, damaged, busy] = ['good', 'empty', 'damaged', 'busy'].map((name) => join(folder, name))
  makeOld(good ?? '', [oldToken(claimsOf(OLD, 1))])
  makeOld(empty ?? '', [])
  makeOld(busy ?? '', [])
  await writeFile(`${busy}-wal`, 'pages')
  makeOld(
    damaged ?? '',
    Array.from({ length: 400 }, (_, n) => oldToken(claimsOf(OLD, n))),
  )
  const bytes = await readFile(damaged ?? '')
  await writeFile(damaged ?? '', bytes.fill(0xff, bytes.length / 2))
  await writeFile(join(folder, 'text'), 'no database')
  await writeFile(join(folder, 'header'), 'SQLite format 3\0 and no more')
  const environment = { SOAKP_DATA_DIR: join(folder, 'data') }
  const refusals: [string[], RegExp][] = [
    [[join(folder, 'none')], /There is no file \S+none\.$/],
    [[folder], /cannot be read \(EISDIR\)/],
    [[join(folder, 'text')], /is no SQLite database, or it is encrypted\./],
    [[join(folder, 'header')], /is damaged or no SQLite database/],
    [[good ?? '', '--table', 'users'], /has no table users; it has the tables tokens\. Give --table\./],
    [[good ?? '', '--column', 'jwt'], /has no column jwt; it has id, token, .*archived\. Give --column\./],
    [[busy ?? ''], /busy-wal lies beside it: the old soakp is running or was killed/],
  ]
  await Promise.all(
    refusals.map(async ([words, sentence]) => {
      const { code, stdout, stderr } = await migrate(t, environment, ...words)
      t.match({ code, stdout }, { code: 1, stdout: '' }, `${sentence}`)
      t.match(stderr.trim(), sentence)
      t.match(stderr, /^soakp: [^\n]+\n$/)
    }),
  )
  t.match(await migrate(t, environment, empty ?? ''), { code: 0, stdout: /^No key was found in / })
  t.notOk((await readdir(folder)).includes('data'), 'no vault was made')

  const part = await migrate(t, environment, damaged ?? '', '--json')
  t.equal(part.code, 1)
  t.match(JSON.parse(part.stdout), {
    data: [{ status: 'saved', token: { token: /^ey/ } }],
    unreadable_rows: [{ message: /^The database is damaged here and cannot be read further: / }],
  })

  const own = join(folder, 'data', 'soakp.db')
  await rm(join(folder, 'data'), { recursive: true })
  await mkdir(join(folder, 'data'))
  await rename(good ?? '', own)
  t.match(await migrate(t, environment, own), { code: 1, stderr: /is where SOAKP's own database belongs\. Move/ })
})
