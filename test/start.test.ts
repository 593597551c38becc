import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { copyFile, mkdir, mkdtemp, readFile, readdir, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import type { Test } from 'tap'
import { Agent, fetch } from 'undici'
import { startPracticeUpstream } from '../practice/upstream.ts'
import { createLocalAuthority, issueLocalCertificate } from '../services/local-authority.ts'
import { ROOT, needs, run, startServer } from './support/process.ts'
import type { ServerProcess } from './support/process.ts'
import { temporaryFolder } from './support/soakp.ts'

const KEY = 'sk-proj-canary-of-the-start-test-3b1f'
const SECRET = 'fVq2nU7xk0Zr9WcT4bLdYs81'
const OLD_NODE = '/usr/bin/node'

function trusting(t: Test, ca: string) {
  const dispatcher = new Agent({ connect: { ca } })
  t.teardown(() => dispatcher.destroy())
  return (url: string, options: Parameters<typeof fetch>[1] = {}) => fetch(url, { ...options, dispatcher })
}

function asAdmin(admin: string, body: unknown) {
  const headers = { authorization: `Bearer ${admin}`, 'content-type': 'application/json' }
  return { method: 'POST', headers, body: JSON.stringify(body) }
}

function needsOldNode(): string | false {
  const [, major, minor] = /^v(\d+)\.(\d+)/.exec(spawnSync(OLD_NODE, ['--version']).stdout?.toString() ?? '') ?? []
  const isOld = Number(major) < 22 || (Number(major) === 22 && Number(minor) < 19)
  return isOld ? false : `needs a Node before 22.19 as ${OLD_NODE}`
}

/** Saves a key over plain HTTP and returns its token. */
async function saveKey({ address, admin = '' }: ServerProcess, key: string): Promise<string> {
  const answer = await fetch(`${address}/soakp/keys`, asAdmin(admin, { key }))
  return ((await answer.json()) as { token: { token: string } }).token.token
}

/** Sends a signal and asserts that it ends the server well. */
async function endsWell(t: Test, server: ServerProcess, signal: NodeJS.Signals): Promise<void> {
  server.kill(signal)
  t.match(await server.ended, { code: 0, signal: null, stderr: '' }, `${signal} ends it with exit code 0`)
  t.notOk(existsSync(join(server.dataDir, 'soakp.sock')), 'no socket is left')
}

test('a first start makes an encrypted folder for its user alone and says what to do next', async (t) => {
  // The worst umask: nothing relies on a good one.
  const command = ['sh', '-c', 'umask 000; exec "$0" "$@"', process.execPath, 'bin/soakp.js', 'serve']
  const first = await startServer(t, {}, { command })
  const { dataDir, address, admin = '' } = first
  const file = (name: string) => join(dataDir, name)
  t.ok(/Authority +(\S+)/.exec(first.stdout())?.[1]?.endsWith('/local-authority.pem'), 'where the authority lies')
  t.match(first.stdout(), / Next +SOAKP_DATA_DIR=\S+ npm run soakp .*keys add/)
  t.match(admin, /^soakp_admin_[\w-]{43}$/)

  const ca = await readFile(file('local-authority.pem'), 'utf8')
  const call = trusting(t, ca)
  t.equal((await call(`${address}/soakp/health`)).status, 200, 'HTTPS with a certificate of the local authority')
  await t.rejects(fetch(`${address}/soakp/health`), 'who does not trust it is not served')
  t.equal((await call(`${address}/soakp/keys`, asAdmin(admin, { key: KEY }))).status, 201, 'the credential works')

  t.equal((await stat(dataDir)).mode & 0o777, 0o700)
  t.equal((await stat(file('root.key'))).mode & 0o777, 0o400)
  for (const name of await readdir(dataDir)) {
    const expected = name === 'local-authority.pem' ? 0o644 : (await stat(file(name))).mode & 0o700
    t.equal((await stat(file(name))).mode & 0o777, expected, `${name} is for its user alone`)
    if (name === 'soakp.sock') continue
    const bytes = await readFile(file(name))
    t.notOk(bytes.includes('SQLite format 3'), `${name} is no plain database`)
    t.notOk(bytes.includes(KEY) || bytes.includes(admin), `${name} holds neither key nor credential`)
  }
  await endsWell(t, first, 'SIGTERM')

  const second = await startServer(t, { SOAKP_DATA_DIR: dataDir })
  t.equal(second.admin, undefined, 'the second start prints no credential')
  t.notMatch(second.stdout(), 'Admin')
  const headers = { authorization: `Bearer ${admin}` }
  t.match(await (await call(`${second.address}/soakp/keys`, { headers })).json(), { data: [{ object: 'key' }] })
  await endsWell(t, second, 'SIGINT')
})

for (const [signal, target] of [
  ['SIGTERM', 'npm alone'],
  ['SIGINT', 'everything in the terminal'],
] as const) {
  const title = `${signal} to ${target} ends npm start with exit code 0 and leaves no process`
  test(title, { skip: needs('npm') }, async (t) => {
    const server = await startServer(t, { SOAKP_TLS: 'off' }, { command: ['npm', 'start'], detached: true })
    t.equal((await fetch(`${server.address}/soakp/health`)).status, 200)
    process.kill(target === 'npm alone' ? server.pid : -server.pid, signal)
    t.match(await server.ended, { code: 0, signal: null })
    t.throws(() => process.kill(-server.pid, 0), { code: 'ESRCH' }, 'nobody of the process group is left')
    await t.rejects(fetch(`${server.address}/soakp/health`), 'nobody answers')
    t.notOk(existsSync(join(server.dataDir, 'soakp.sock')))
  })
}

test('a stream that runs at SIGTERM is delivered to its end', async (t) => {
  const upstream = await startPracticeUpstream({ chunkDelayMs: 20 })
  t.teardown(() => upstream.close())
  const server = await startServer(t, { SOAKP_TLS: 'off', SOAKP_UPSTREAM: upstream.url })
  const token = await saveKey(server, upstream.key)
  const body = { model: 'practice-fast', stream: true, messages: [{ role: 'user', content: 'a b c d e f g h' }] }
  const answer = await fetch(`${server.address}/v1/chat/completions`, asAdmin(token, body))
  let text = ''
  for await (const chunk of answer.body ?? []) {
    if (text === '') server.kill('SIGTERM')
    text += Buffer.from(chunk).toString()
  }
  t.match(text, /data: \[DONE\]\n\n$/)
  t.match(await server.ended, { code: 0 })
})

test('a stream that does not end holds SOAKP up no longer than SOAKP_DRAIN_SECONDS', async (t) => {
  const upstream = await startPracticeUpstream()
  t.teardown(() => upstream.close())
  upstream.handle('GET', '/v1/endless', (_, response) => void response.write('data: {}\n\n'))
  const environment = { SOAKP_TLS: 'off', SOAKP_UPSTREAM: upstream.url, SOAKP_DRAIN_SECONDS: '1' }
  const server = await startServer(t, environment)
  const token = await saveKey(server, upstream.key)
  const answer = await fetch(`${server.address}/v1/endless`, { headers: { authorization: `Bearer ${token}` } })
  t.equal(answer.status, 200)
  server.kill('SIGTERM')
  await t.rejects(answer.text(), 'the stream is cut')
  t.match(await server.ended, { code: 0 })
})

test('old names work, and what is printed says which names are new and which are unknown', async (t) => {
  const folder = await temporaryFolder(t)
  const old = {
    DATA_DIR: join(folder, 'old'),
    SQLITE_FILE: 'secrets.sqlite',
    SERVER_HOST: 'localhost',
    SERVER_PORT: '0',
    AUTH_USER: 'testuser',
    AUTH_PASS: SECRET,
    JWT_SECRET: SECRET.toLowerCase(),
    SOAKP_COLOUR: 'blue',
  }
  const server = run(t, process.execPath, ['bin/soakp.js', 'serve'], { environment: old })
  const [, port] = await server.printed(/https:\/\/localhost:(\d+)/)
  await server.printed(/ Next /)
  t.ok(existsSync(join(folder, 'old', 'secrets.sqlite')))
  t.notOk(existsSync(join(folder, 'old', 'root.key')), 'JWT_SECRET unseals the vault')
  const call = trusting(t, await readFile(join(folder, 'old', 'local-authority.pem'), 'utf8'))
  const authorization = `Basic ${Buffer.from(`testuser:${SECRET}`).toString('base64')}`
  const headers = { authorization, 'content-type': 'application/json' }
  const body = JSON.stringify({ key: KEY })
  const answer = await call(`https://localhost:${port}/jwt/generate`, { method: 'POST', headers, body })
  t.match(await answer.json(), { status: 201, message: 'JWT added', data: { jwt: /^ey/ } })

  const printed = server.stdout()
  for (const [name, now] of [
    ['DATA_DIR', 'SOAKP_DATA_DIR'],
    ['SQLITE_FILE', 'SOAKP_DATABASE_FILE'],
    ['SERVER_HOST', 'SOAKP_HOST'],
    ['SERVER_PORT', 'SOAKP_PORT'],
    ['AUTH_USER', 'SOAKP_ADMIN_USER'],
    ['AUTH_PASS', 'SOAKP_ADMIN_TOKEN'],
    ['JWT_SECRET', 'SOAKP_SECRET'],
  ]) {
    t.match(printed, `${name} is the old name of ${now}; set ${now} instead.`)
  }
  t.match(printed, 'SOAKP_COLOUR is no setting of SOAKP and is ignored.')
  server.kill('SIGTERM')
  t.match(await server.ended, { code: 0 })
})

test('in production, secrets come from files that the platform mounts', async (t) => {
  const folder = await temporaryFolder(t)
  await mkdir(join(folder, 'credentials'))
  await writeFile(join(folder, 'secret'), `${SECRET}\n`)
  await writeFile(join(folder, 'credentials', 'soakp_admin_token'), 'Jw5yTq8hPz3KfXm0VbNc')
  const server = await startServer(t, {
    NODE_ENV: 'production',
    SOAKP_TLS: 'off',
    SOAKP_SECRET_FILE: join(folder, 'secret'),
    CREDENTIALS_DIRECTORY: join(folder, 'credentials'),
  })
  t.equal(server.admin, undefined, 'a given credential is not printed')
  const headers = { authorization: 'Bearer Jw5yTq8hPz3KfXm0VbNc' }
  t.equal((await fetch(`${server.address}/soakp/keys`, { headers })).status, 200)
  t.notMatch(await readdir(server.dataDir), ['root.key'])
  await endsWell(t, server, 'SIGTERM')
})

test('the built server, with a certificate from files, starts and stops', async (t) => {
  // In the tree of the clone, so that packages are found, and laid out as the published package is.
  await mkdir(join(ROOT, '.tap'), { recursive: true })
  const folder = await mkdtemp(join(ROOT, '.tap', 'build-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  await copyFile(join(ROOT, 'package.json'), join(folder, 'package.json'))
  const out = join(folder, 'dist')
  const tsc = join(ROOT, 'node_modules', '.bin', 'tsc')
  const built = await run(t, tsc, ['-p', 'tsconfig.build.json', '--outDir', out]).ended
  t.same(built, { code: 0, signal: null, stdout: '', stderr: '' })
  const now = new Date()
  const authority = await createLocalAuthority(now)
  const { certificatePem, privateKeyPem } = await issueLocalCertificate(authority, ['localhost'], now)
  await writeFile(join(out, 'certificate.pem'), certificatePem)
  await writeFile(join(out, 'key.pem'), privateKeyPem)
  const environment = {
    SOAKP_TLS: 'files',
    SOAKP_TLS_CERT_FILE: join(out, 'certificate.pem'),
    SOAKP_TLS_KEY_FILE: join(out, 'key.pem'),
  }
  const server = await startServer(t, environment, { command: [process.execPath, join(out, 'fastify.config.js')] })
  t.notMatch(server.stdout(), 'Authority')
  const call = trusting(t, authority.certificatePem)
  t.equal((await call(`${server.address}/soakp/health`)).status, 200)
  await endsWell(t, server, 'SIGTERM')
})

test('a Node that is too old gets a sentence', { skip: needsOldNode() }, async (t) => {
  const { code, stderr } = await run(t, OLD_NODE, ['bin/soakp.js', 'serve']).ended
  t.equal(code, 1)
  t.match(stderr, /^soakp: Node \S+ is too old; SOAKP needs 22\.19 or newer\. .*\n$/)
})
