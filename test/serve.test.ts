import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdir } from 'node:fs/promises'
import { request } from 'node:http'
import { createServer } from 'node:net'
import { join } from 'node:path'
import { test } from 'tap'
import type { Test } from 'tap'
import { startPracticeUpstream } from '../practice/upstream.ts'
import { run, startServer } from './support/process.ts'
import { temporaryFolder } from './support/soakp.ts'

const PLAIN = { SOAKP_TLS: 'off', SOAKP_LOG_LEVEL: 'error' }

/** Runs the command to its end. */
function soakp(t: Test, words: string, environment: Readonly<Record<string, string>>) {
  return run(t, process.execPath, ['bin/soakp.js', ...words.split(' ')], { environment: { ...PLAIN, ...environment } })
    .ended
}

/** Asserts that the server on a data folder answers the command through its socket: a folder has no port to show. */
async function answersOnSocket(t: Test, dataDir: string): Promise<void> {
  const listed = await soakp(t, 'keys list --json', { SOAKP_DATA_DIR: dataDir, SOAKP_DATABASE_FILE: 'not-this-one.db' })
  t.match(listed, { code: 0, stdout: /"object":"list"/ }, listed.stderr)
}

test('a second SOAKP on the same folder says so and leaves the first one its socket', async (t) => {
  const { dataDir } = await startServer(t, PLAIN)
  const second = await soakp(t, 'serve', { SOAKP_DATA_DIR: dataDir, SOAKP_PORT: '0' })
  t.match(second, { code: 1, stdout: '', stderr: /^soakp: Another SOAKP is running on this data folder\. .*\n$/ })
  await answersOnSocket(t, dataDir)
})

test('of servers that start at once on a folder with a stale socket, one runs and the others say why not', async (t) => {
  const killed = await startServer(t, PLAIN)
  killed.kill('SIGKILL')
  await killed.ended
  const { dataDir } = killed
  t.ok(existsSync(join(dataDir, 'soakp.sock')), 'a killed server leaves its socket')
  t.match(await soakp(t, 'keys list', { SOAKP_DATA_DIR: dataDir }), { code: 0 }, 'the command works on the folder')

  const environment = { ...PLAIN, SOAKP_DATA_DIR: dataDir, SOAKP_PORT: '0' }
  const starts = await Promise.allSettled([1, 2, 3].map(() => startServer(t, environment)))
  t.equal(starts.filter(({ status }) => status === 'fulfilled').length, 1, 'one runs')
  for (const start of starts) if (start.status === 'rejected') t.match(String(start.reason), 'Another SOAKP is running')
  await answersOnSocket(t, dataDir)
})

test('a port in use is one line, and the admin credential of a first start is not lost', async (t) => {
  const taken = await startPracticeUpstream()
  t.teardown(() => taken.close())
  const SOAKP_DATA_DIR = join(await temporaryFolder(t), 'data')
  const failed = await soakp(t, 'serve', { SOAKP_DATA_DIR, SOAKP_PORT: String(taken.port) })
  t.match(failed, { code: 1, stdout: /^Admin {2}soakp_admin_\S+ .*\n$/ })
  t.match(failed.stderr, new RegExp(`^soakp: Port ${taken.port} on 127.0.0.1 is in use .*SOAKP_PORT.*\\n$`))
  t.notOk(existsSync(join(SOAKP_DATA_DIR, 'soakp.sock')), 'no socket is left')
})

test('what hinders a start is one line and exit code 1', async (t) => {
  const server = await startServer(t, PLAIN)
  const { dataDir } = server
  server.kill('SIGTERM')
  await server.ended
  const failures: readonly [environment: Record<string, string>, stderr: RegExp][] = [
    [{ SOAKP_DATA_DIR: '/dev/null/x' }, /^soakp: The data folder \/dev\/null\/x cannot be made or written.*\n$/],
    [{ SOAKP_SECRET: 'fVq2nU7xk0Zr9WcT4bLdYs81' }, /^soakp: This vault was sealed with .*SOAKP_ROOT_KEY_FILE.*\n$/],
    [{ SOAKP_HOST: '203.0.113.7', SOAKP_TLS: 'local' }, /^soakp: SOAKP_HOST is no address of this machine\. .*\n$/],
    [{ SOAKP_PORT: 'https' }, /^soakp: SOAKP_PORT must be a whole number .*\n$/],
  ]
  await Promise.all(
    failures.map(async ([environment, stderr]) => {
      const failed = await soakp(t, 'serve', { SOAKP_DATA_DIR: dataDir, SOAKP_PORT: '0', ...environment })
      t.match(failed, { code: 1, stdout: '', stderr })
    }),
  )
})

test('a second signal does not wait for running calls', async (t) => {
  const upstream = await startPracticeUpstream()
  t.teardown(() => upstream.close())
  upstream.handle('GET', '/v1/endless', (_, response) => void response.write('data: {}\n\n'))
  const server = await startServer(t, { ...PLAIN, SOAKP_UPSTREAM: upstream.url, SOAKP_DRAIN_SECONDS: '3600' })
  const headers = { authorization: `Bearer ${server.admin}`, 'content-type': 'application/json' }
  const body = JSON.stringify({ key: upstream.key })
  const saved = await fetch(`${server.address}/soakp/keys`, { method: 'POST', headers, body })
  const { token } = ((await saved.json()) as { token: { token: string } }).token
  const stream = await fetch(`${server.address}/v1/endless`, { headers: { authorization: `Bearer ${token}` } })
  const cut = t.rejects(stream.text())
  server.kill('SIGINT')
  // One that comes at once is npm's copy of the same Ctrl-C and counts for nothing, so it is sent until it is heard.
  const insist = setInterval(() => server.kill('SIGINT'), 100)
  t.match(await server.ended, { code: 130 })
  clearInterval(insist)
  await cut
})

test('an unexpected error is logged without secrets and ends SOAKP with exit code 1', async (t) => {
  const throws = "process.once('SIGUSR2', () => { throw new Error('boom sk-proj-in-a-message') })"
  const rejects = "process.once('SIGUSR2', () => void Promise.reject(new Error('boom sk-proj-in-a-message')))"
  await Promise.all(
    [throws, rejects].map(async (program) => {
      const start = ['--import', `data:text/javascript,${program}`, 'bin/soakp.js', 'serve']
      const server = await startServer(t, PLAIN, { command: [process.execPath, ...start] })
      server.kill('SIGUSR2')
      const { code, stdout, stderr } = await server.ended
      t.equal(code, 1)
      t.match(stdout, /"level":"error".*"boom \[secret\]".*unexpected error/)
      t.notMatch(stdout + stderr, 'sk-proj-in-a-message')
      t.notOk(existsSync(join(server.dataDir, 'soakp.sock')), 'no socket is left')
    }),
  )
})

test('a server that hangs is a clear error of the command', async (t) => {
  const SOAKP_DATA_DIR = join(await temporaryFolder(t), 'data')
  await mkdir(SOAKP_DATA_DIR, { mode: 0o700 })
  const silent = createServer().listen(join(SOAKP_DATA_DIR, 'soakp.sock'))
  t.teardown(() => silent.close())
  await once(silent, 'listening')
  const { code, stderr } = await soakp(t, 'keys list', { SOAKP_DATA_DIR })
  t.equal(code, 1)
  t.match(stderr, /^soakp: The SOAKP behind \S+ does not answer\. .*\n$/)
})

test('a full disk behind the log ends neither calls nor the process', async (t) => {
  const dataDir = join(await temporaryFolder(t), 'data')
  const command = 'exec "$0" bin/soakp.js serve > /dev/full'
  const server = run(t, 'bash', ['-c', command, process.execPath], {
    environment: { SOAKP_DATA_DIR: dataDir, SOAKP_PORT: '0', SOAKP_LOG_LEVEL: 'debug' },
  })
  const ask = () => socketStatus(join(dataDir, 'soakp.sock'), '/soakp/keys')
  let status = await ask()
  while (status === undefined) status = await ask()
  for (let call = 0; call < 20; call += 1) t.equal(await ask(), 200)
  server.kill('SIGTERM')
  t.match(await server.ended, { code: 0 })
})

/** Returns the status of a GET through the control socket, or undefined while nobody listens there. */
function socketStatus(socketPath: string, path: string): Promise<number | undefined> {
  return new Promise((resolve) => {
    const call = request({ socketPath, path }, (response) => {
      response.resume()
      response.once('end', () => resolve(response.statusCode))
    })
    call.once('error', () => resolve(undefined))
    call.end()
  })
}
