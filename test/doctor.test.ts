import { accessSync, chmodSync, constants, existsSync } from 'node:fs'
import { chmod, mkdir, readFile, stat, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { test } from 'tap'
import type { Finding } from '../services/doctor/finding.ts'
import { diskResult } from '../services/doctor/folder.ts'
import { examine, isFault, listen, stoppedSoakp } from './support/doctor.ts'
import { run } from './support/process.ts'
import { fingerprint, openDatabase } from './support/raw-vault.ts'
import { ADMIN, startSoakp, temporaryFolder } from './support/soakp.ts'

const CHECKS = (
  'node configuration data-folder file-modes disk server port certificate secret database ' +
  'upstream upstream-certificate clock keys local-authority origin'
).split(' ')

test('without a server the folder is looked at, and not a byte or file of it is changed', async (t) => {
  const { dataDir, upstream, environment } = await stoppedSoakp(t)
  const before = await fingerprint(dataDir)
  const { mtimeMs } = await stat(dataDir)
  const told: string[] = []
  const found = await examine(environment, { tell: ({ check }) => told.push(check) })
  t.same(told, CHECKS)
  const notOk = Object.values(found).filter(({ status }) => status !== 'ok')
  t.match(notOk, [{ check: 'local-authority' }], 'nothing else is wrong')
  t.match(found['server'], { message: /^No SOAKP runs/ })
  t.match(found['keys'], { message: 'The upstream takes it.' })
  t.match(found['clock'], { message: /^It is right to \d+ s by / })
  t.same(await fingerprint(dataDir), before)
  t.equal((await stat(dataDir)).mtimeMs, mtimeMs, 'no file came and went')
  const sent = upstream.requests.filter(({ rawHeaders }) => rawHeaders.join().includes(upstream.key))
  t.equal(sent.length, 1, 'the key goes out once, for its check')
})

test('through a running server the same is found, whatever secret and port this environment has', async (t) => {
  const server = await startSoakp(t)
  await server.saveKey()
  const environment = { SOAKP_DATA_DIR: server.dataDir, SOAKP_UPSTREAM: server.upstream.url, NODE_ENV: 'production' }
  const found = await examine(environment)
  t.match(found['server'], { status: 'ok', message: `at ${server.address}.` })
  t.match(found['port'], { status: 'ok', message: `SOAKP itself listens at ${server.address}.` })
  t.match(found['secret'], { status: 'ok', message: /^The running SOAKP has opened the vault/ })
  for (const check of ['database', 'upstream', 'clock', 'keys']) t.match(found[check], { status: 'ok' })

  const other = { ...environment, SOAKP_DATA_DIR: await temporaryFolder(t), SOAKP_PORT: String(server.port) }
  isFault(t, (await examine(other))['port'], /in use by a SOAKP on another data folder/, /SOAKP_DATA_DIR/)
})

test('a Node that is too old, and a disk that is nearly full, are faults', async (t) => {
  const found = await examine({ SOAKP_DATA_DIR: await temporaryFolder(t) }, { nodeVersion: '20.20.2' })
  isFault(t, found['node'], /^Node 20\.20\.2 is too old/, /Install Node 22\.19/)
  t.match(found['disk'], { status: 'ok', message: /MB are free/ })
  isFault(t, diskResult(199e6, '/data') as Finding, /^Only 199 MB are free where \/data is/, /Make room/)
})

test('a wrong setting is a fault, an unknown one a warning, and what depends on it is not checked', async (t) => {
  const found = await examine({ SOAKP_PORT: 'many' })
  isFault(t, found['configuration'], /^SOAKP_PORT must be a whole number/, /./)
  t.match(found['data-folder'], { status: 'skipped', message: 'Not checked: first configuration must be right.' })
  t.match(found['keys'], { status: 'skipped' })
  const unknown = await examine({ SOAKP_DATA_DIR: await temporaryFolder(t), SOAKP_COLOUR: 'blue' })
  t.match(unknown['configuration'], { status: 'warning', message: /SOAKP_COLOUR is no setting/ })
})

test('a data folder that is missing, no folder or not to be written is a fault, and none is made', async (t) => {
  const folder = await temporaryFolder(t)
  const file = join(folder, 'file')
  await writeFile(file, '')
  const dataFolder = async (SOAKP_DATA_DIR: string) => (await examine({ SOAKP_DATA_DIR }))['data-folder']
  isFault(
    t,
    await dataFolder(join(folder, 'none')),
    /There is no data folder \S+none\./,
    /Start SOAKP, .*SOAKP_DATA_DIR/,
  )
  isFault(t, await dataFolder(file), /file is no folder/, /Move/)
  isFault(t, await dataFolder(join(file, 'data')), /Above the data folder \S+ is a file/, /Move/)
  t.notOk(existsSync(join(folder, 'none')))

  const closed = unwritable(folder)
  await t.test(
    'not to be written',
    { skip: closed === undefined && 'needs a folder that root cannot write' },
    async (c) => isFault(c, await dataFolder(closed ?? ''), /This user may not write|read-only/, /SOAKP_DATA_DIR/),
  )
})

/** A folder that this user may not write; root may write nearly all. */
function unwritable(folder: string): string | undefined {
  chmodSync(folder, 0o500)
  return [folder, '/proc/sys'].find((each) => {
    try {
      accessSync(each, constants.W_OK)
      return false
    } catch {
      return existsSync(each)
    }
  })
}

test('files that others can read are a fault, and the remedy can be typed', async (t) => {
  const { dataDir, environment } = await stoppedSoakp(t)
  const names = ['seal.jwe', 'soakp.db', 'root.key']
  await chmod(dataDir, 0o755)
  for (const name of names) await chmod(join(dataDir, name), 0o644)
  const { 'file-modes': found } = await examine(environment)
  isFault(t, found, new RegExp(`^Others can read ${dataDir} \\(mode 755\\)`), /^Type: chmod 700/)
  for (const name of names) t.match(found?.message, `${join(dataDir, name)} (mode 644)`)
  const [, command = ''] = /^Type: (.*)$/.exec(found?.remedy ?? '') ?? []
  await run(t, 'sh', ['-c', command]).ended
  t.match((await examine(environment))['file-modes'], { status: 'ok' })

  const mounted = join(await temporaryFolder(t), 'key')
  await writeFile(mounted, await readFile(join(dataDir, 'root.key')), { mode: 0o444 })
  t.match((await examine({ ...environment, SOAKP_ROOT_KEY_FILE: mounted }))['file-modes'], { status: 'warning' })
})

test('a server that does not answer on its socket is a fault, and its vault is left alone', async (t) => {
  const { dataDir, environment } = await stoppedSoakp(t)
  await listen(
    t,
    createServer((socket) => socket.destroy()),
    join(dataDir, 'soakp.sock'),
  )
  const found = await examine(environment)
  isFault(t, found['server'], /soakp\.sock does not answer/, /Stop it and start it again/)
  for (const check of ['secret', 'database', 'keys']) t.match(found[check], { status: 'skipped' })
})

test('a secret that is missing, short or wrong is a fault', async (t) => {
  const { dataDir, environment } = await stoppedSoakp(t)
  const secret = async (more: Record<string, string>) => (await examine({ ...environment, ...more }))['secret']
  isFault(t, await secret({ NODE_ENV: 'production' }), /NODE_ENV=production needs SOAKP_SECRET/, /./)
  const short = { SOAKP_SECRET: 'fVq2nU7xk0Zr' }
  isFault(t, await secret({ NODE_ENV: 'production', ...short }), /SOAKP_SECRET has only 12 characters/, /openssl rand/)
  isFault(t, await secret(short), /sealed with a root key file/, /./)
  const fresh = { SOAKP_DATA_DIR: await temporaryFolder(t), ...short }
  t.match(await secret(fresh), { status: 'warning', message: /has only 12 characters/ })
  const SOAKP_ROOT_KEY_FILE = join(fresh.SOAKP_DATA_DIR, 'other.key')
  await writeFile(SOAKP_ROOT_KEY_FILE, Buffer.from(Array.from({ length: 32 }, (_, n) => n)), { mode: 0o400 })
  isFault(t, await secret({ SOAKP_ROOT_KEY_FILE }), /other\.key is not the one that this vault was sealed with/, /./)
  await writeFile(join(dataDir, 'seal.jwe'), 'no seal')
  const damaged = await secret({})
  isFault(t, damaged, new RegExp(`^${dataDir}/seal\\.jwe is damaged`), /backup/)
})

test('a database that is damaged or newer is a fault, and its secret is none', async (t) => {
  const { dataDir, environment } = await stoppedSoakp(t)
  const database = await openDatabase(dataDir, { kind: 'key-file', file: join(dataDir, 'root.key'), make: false })
  database.exec("insert into kysely_migration (name, timestamp) values ('999-from-the-future', '2099')")
  database.close()
  const newer = await examine(environment)
  isFault(t, newer['database'], /soakp\.db was written by a newer SOAKP/, /Start that version/)
  t.match(newer['secret'], { status: 'ok' })
  await writeFile(join(dataDir, 'soakp.db'), 'no database')
  const damaged = (await examine(environment))['database']
  isFault(t, damaged, new RegExp(`^${dataDir}/soakp\\.db does not open with this vault's key`), /one backup/)
})

test('the command tells people and scripts, ends with 1 for a fault, and shows no secret', async (t) => {
  const { dataDir, environment, upstream } = await stoppedSoakp(t)
  const authority = join(dataDir, 'local-authority.pem')
  const none = join(await temporaryFolder(t), 'none.pem')
  await writeFile(none, '')
  await mkdir(`${none}.d`)
  const doctor = (more: Record<string, string>, ...words: string[]) =>
    run(t, process.execPath, ['bin/soakp.js', 'doctor', ...words], {
      environment: { ...environment, SSL_CERT_FILE: none, SSL_CERT_DIR: `${none}.d`, ...more },
    }).ended
  const [people, script, origin, usage] = await Promise.all([
    doctor({}),
    doctor({ NODE_EXTRA_CA_CERTS: authority }, '--json'),
    doctor({ SSL_CERT_FILE: authority }, '--origin', 'https://app.example.com', '--json'),
    doctor({}, '--origin', 'everywhere'),
  ])
  t.match(people, { code: 1, stderr: '' })
  t.match(people.stdout, /^ok +node +Node \S+ runs SOAKP\.\n/)
  t.match(
    people.stdout,
    /^fault +local-authority +Neither the system nor Node trusts .*\n {10,}Type `soakp ca trust` .*\n/m,
  )
  t.match(people.stdout, /\n\n1 fault\.\n$/)

  t.match(script, { code: 0, stderr: '' })
  const { object, data } = JSON.parse(script.stdout)
  t.equal(object, 'list')
  t.same(
    data.map(({ check }: Finding) => check),
    CHECKS,
  )
  for (const each of data) {
    t.same(Object.keys(each), ['check', 'status', 'message', 'remedy'])
    t.match(each.status, /^(?:ok|warning|fault|skipped)$/)
  }
  t.match(data[14], { check: 'local-authority', status: 'ok', message: /^Node trusts it/ })

  t.equal(origin.code, 1)
  t.match(JSON.parse(origin.stdout).data.slice(14), [
    { status: 'ok', message: /^The system trusts it/ },
    { check: 'origin', status: 'fault' },
  ])
  t.match(usage, { code: 2, stdout: '', stderr: /^soakp: --origin must hold origins like/ })
  for (const { stdout, stderr } of [people, script, origin, usage]) {
    for (const secret of [upstream.key, ADMIN]) t.notOk((stdout + stderr).includes(secret), 'no secret is shown')
  }
})
