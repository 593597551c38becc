import { once } from 'node:events'
import { chmodSync, existsSync } from 'node:fs'
import { mkdir, readFile, rm, stat, truncate, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { test } from 'tap'
import type { Test } from 'tap'
import { Secret } from '../services/secret.ts'
import { run, startServer } from './support/process.ts'
import { fingerprint, makeVault, openDatabase, writeRootKey } from './support/raw-vault.ts'
import { temporaryFolder } from './support/soakp.ts'

/** One that is not refused would run for ever. */
const DEADLINE_MS = 20_000

const SECRET = 'fVq2nU7xk0Zr9WcT4bLdYs81'

/** Asserts that SOAKP does not start: one line on standard error that matches, exit code 1. Returns standard output. */
async function refuses(t: Test, environment: Readonly<Record<string, string>>, sentence: RegExp): Promise<string> {
  const own = { SOAKP_PORT: '0', SOAKP_TLS: 'off', ...environment }
  const soakp = run(t, process.execPath, ['bin/soakp.js', 'serve'], { environment: own })
  const deadline = setTimeout(() => soakp.kill('SIGKILL'), DEADLINE_MS)
  const { code, stdout, stderr } = await soakp.ended
  clearTimeout(deadline)
  t.equal(code, 1, 'exit code 1')
  t.match(stderr, /^soakp: [^\n]+\n$/, 'one line')
  t.match(stderr, sentence)
  t.notMatch(stderr, /please report/)
  t.notMatch(stdout, /Address/)
  return stdout
}

/** The same for a vault, of which no byte may change. */
async function refusesVault(
  t: Test,
  environment: Record<string, string> & { SOAKP_DATA_DIR: string },
  sentence: RegExp,
) {
  const before = await fingerprint(environment.SOAKP_DATA_DIR)
  await refuses(t, environment, sentence)
  t.same(await fingerprint(environment.SOAKP_DATA_DIR), before, 'nothing was changed')
}

/** A vault that was made with a root key file. */
async function keyFileVault(t: Test) {
  const folder = await temporaryFolder(t)
  const file = await writeRootKey(folder)
  const dataDir = join(folder, 'data')
  const unseal = { kind: 'key-file', file, make: false } as const
  await makeVault(dataDir, unseal)
  return { folder, dataDir, unseal, environment: { SOAKP_DATA_DIR: dataDir, SOAKP_ROOT_KEY_FILE: file } }
}

test('production does not start with a missing, short or sample secret', async (t) => {
  const folder = await temporaryFolder(t)
  const production = { NODE_ENV: 'production', SOAKP_DATA_DIR: join(folder, 'data') }
  await refuses(t, production, /^soakp: NODE_ENV=production needs SOAKP_SECRET \(20 characters or more/)
  await refuses(t, { ...production, SOAKP_SECRET: 'jQQJjmb0BP2Q8033' }, /^soakp: SOAKP_SECRET has only 16 characters/)
  await refuses(t, { ...production, JWT_SECRET: 'testuser123testuser123' }, /^soakp: SOAKP_SECRET looks like a sample/)
  await refuses(t, { ...production, SOAKP_SECRET: SECRET, AUTH_PASS: 'testuser123' }, /^soakp: SOAKP_ADMIN_TOKEN /)
  t.notOk(existsSync(production.SOAKP_DATA_DIR), 'nothing was made')
})

test('plain HTTP beyond loopback is refused', async (t) => {
  const SOAKP_DATA_DIR = join(await temporaryFolder(t), 'data')
  await refuses(t, { SOAKP_DATA_DIR, SOAKP_HOST: '0.0.0.0' }, /SOAKP_TLS=off .* 0\.0\.0\.0.*SOAKP_ALLOW_PLAIN_HTTP/)
  t.notOk(existsSync(SOAKP_DATA_DIR))
})

test('a vault that was sealed with a secret opens with nothing else', async (t) => {
  const dataDir = join(await temporaryFolder(t), 'data')
  await makeVault(dataDir, { kind: 'secret', secret: new Secret(SECRET) })
  const environment = { SOAKP_DATA_DIR: dataDir }
  const wrong = { ...environment, SOAKP_SECRET: SECRET.toLowerCase() }
  await refusesVault(t, wrong, /SOAKP_SECRET is not the one that this vault was sealed with/)
  await refusesVault(t, environment, /sealed with a secret string: set SOAKP_SECRET/)
  t.notOk(existsSync(join(dataDir, 'root.key')), 'no root key was made')
})

test('a vault that was sealed with a root key file opens with nothing else', async (t) => {
  const { folder, dataDir, environment } = await keyFileVault(t)
  const other = await writeRootKey(folder, 'other.key')
  await refusesVault(t, { ...environment, SOAKP_ROOT_KEY_FILE: other }, /other\.key is not the one/)
  const gone = { ...environment, SOAKP_ROOT_KEY_FILE: join(folder, 'gone.key') }
  await refusesVault(t, gone, /gone\.key does not exist.*SOAKP_ROOT_KEY_FILE/)
  await refusesVault(t, { SOAKP_DATA_DIR: dataDir }, /root\.key does not exist/)
  const secret = { SOAKP_DATA_DIR: dataDir, SOAKP_SECRET: SECRET }
  await refusesVault(t, secret, /sealed with a root key file: set SOAKP_ROOT_KEY_FILE .*no SOAKP_SECRET/)
})

test('a damaged or missing seal is refused', async (t) => {
  const { dataDir, environment } = await keyFileVault(t)
  const seal = join(dataDir, 'seal.jwe')
  const whole = await readFile(seal, 'utf8')
  await truncate(seal, whole.length - 20)
  await refusesVault(t, environment, /seal\.jwe is damaged.*backup/)
  await writeFile(seal, 'no seal at all')
  await refusesVault(t, environment, /seal\.jwe is damaged.*backup/)
  await rm(seal)
  await refusesVault(t, environment, /soakp\.db exists but its seal .* does not.*backup/)
  await rm(join(dataDir, 'soakp.db'))
  await writeFile(seal, whole)
  const server = await startServer(t, { ...environment, SOAKP_TLS: 'off' })
  t.ok(server.admin, 'a seal without a database is a first start that was cut short')
})

test('a database that is not encrypted, or another vault’s, is refused', async (t) => {
  const { dataDir, environment } = await keyFileVault(t)
  const file = join(dataDir, 'soakp.db')
  const other = await keyFileVault(t)
  await writeFile(file, await readFile(join(other.dataDir, 'soakp.db')))
  await refusesVault(t, environment, /soakp\.db does not open with this vault's key/)
  await rm(file)
  const plain = new Database(file)
  plain.exec('create table tokens (id text)')
  plain.close()
  await refusesVault(t, environment, /soakp\.db does not open with this vault's key/)
})

test('a database of a newer SOAKP is refused', async (t) => {
  const { dataDir, unseal, environment } = await keyFileVault(t)
  const database = await openDatabase(dataDir, unseal)
  database.exec("insert into kysely_migration (name, timestamp) values ('999-from-the-future', '2099')")
  database.close()
  await refusesVault(t, environment, /soakp\.db was written by a newer SOAKP .*999-from-the-future/)
})

test('a migration that fails half way changes nothing, so that the next start can do it', async (t) => {
  const { dataDir, unseal, environment } = await keyFileVault(t)
  await rm(join(dataDir, 'soakp.db'))
  const inTheWay = await openDatabase(dataDir, unseal)
  inTheWay.exec('create table secrets (id text)')
  inTheWay.close()
  await refuses(t, environment, /soakp\.db could not be brought up to date/)
  const cleared = await openDatabase(dataDir, unseal)
  cleared.exec('drop table secrets')
  cleared.close()
  const server = await startServer(t, { ...environment, SOAKP_TLS: 'off' })
  t.equal((await fetch(`${server.address}/soakp/ready`)).status, 200)
})

test('a port in use is refused', async (t) => {
  const taken = createServer().listen(0, '127.0.0.1')
  t.teardown(() => taken.close())
  await once(taken, 'listening')
  const { port } = taken.address() as AddressInfo
  const SOAKP_DATA_DIR = join(await temporaryFolder(t), 'data')
  const sentence = new RegExp(`^soakp: Port ${port} on 127\\.0\\.0\\.1 is in use .*SOAKP_PORT`)
  const stdout = await refuses(t, { SOAKP_DATA_DIR, SOAKP_PORT: String(port) }, sentence)
  t.notOk(existsSync(join(SOAKP_DATA_DIR, 'soakp.sock')), 'no socket is left')
  const [shown] = /soakp_admin_[\w-]+/.exec(stdout) ?? []
  const { address, admin } = await startServer(t, { SOAKP_DATA_DIR, SOAKP_TLS: 'off' })
  const headers = { authorization: `Bearer ${shown ?? admin}` }
  t.equal((await fetch(`${address}/soakp/keys`, { headers })).status, 200, 'the admin credential was not lost')
})

test('a data folder that cannot be one is refused', async (t) => {
  const folder = await temporaryFolder(t)
  const file = join(folder, 'file')
  await writeFile(file, '')
  await refuses(t, { SOAKP_DATA_DIR: file }, /The data folder .*file cannot be made or written.*SOAKP_DATA_DIR/)
  await refuses(t, { SOAKP_DATA_DIR: join(file, 'data') }, /cannot be made or written/)
  await t.test('a pseudo file system', { skip: existsSync('/proc/self') ? false : 'needs /proc' }, async (inProc) =>
    refuses(inProc, { SOAKP_DATA_DIR: '/proc/soakp' }, /The data folder \/proc\/soakp cannot be made or written/),
  )
  const shared = join(folder, 'shared')
  await mkdir(shared)
  await writeFile(join(shared, 'of somebody'), '')
  chmodSync(shared, 0o755)
  await refuses(t, { SOAKP_DATA_DIR: shared }, /holds files that are not SOAKP's.*chmod 700/)
  t.equal((await stat(shared)).mode & 0o777, 0o755, 'somebody’s folder is left as it is')
})
