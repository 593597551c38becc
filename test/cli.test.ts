import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'tap'
import type { Test } from 'tap'
import { startPracticeUpstream } from '../practice/upstream.ts'
import { run } from './support/process.ts'
import type { Ended } from './support/process.ts'
import { startSoakp, temporaryFolder } from './support/soakp.ts'
import type { TestSoakp } from './support/soakp.ts'

/** Runs the command with these words, as in a shell, and this standard input. */
type Command = (words: string, input?: string) => Promise<Ended>

/** Creates a `soakp`; each time, its output is checked for the keys. */
function command(t: Test, environment: Readonly<Record<string, string>>, keys: readonly string[]): Command {
  return async (words, INPUT = '') => {
    const line = `printf %s "$INPUT" | '${process.execPath}' bin/soakp.js ${words}`
    const ended = await run(t, 'sh', ['-c', line], { environment: { ...environment, INPUT } }).ended
    const printed = ended.stdout + ended.stderr
    if (keys.some((key) => printed.includes(key))) t.fail(`a key was printed by soakp ${words}`)
    return ended
  }
}

/** Creates a `soakp` that finds the server of a test. */
function commandFor(t: Test, { dataDir, upstream }: TestSoakp): Command {
  return command(t, { SOAKP_DATA_DIR: dataDir, SOAKP_UPSTREAM: upstream.url }, [upstream.key])
}

/** Asserts that a command did it and returns the JSON document that it printed. */
function json(t: Test, { code, stdout, stderr }: Ended) {
  t.equal(code, 0, stderr)
  return JSON.parse(stdout)
}

test('without a server the command works on the folder itself', async (t) => {
  const upstream = await startPracticeUpstream()
  t.teardown(() => upstream.close())
  const dataDir = join(await temporaryFolder(t), 'data')
  const old = 'sk-practice-that-the-upstream-does-not-know'
  const soakp = command(t, { SOAKP_DATA_DIR: dataDir, SOAKP_UPSTREAM: upstream.url }, [upstream.key, old])

  const early = await soakp('keys list')
  t.match(early, { code: 1, stdout: '', stderr: /^soakp: There is no SOAKP in \S+ yet\. .*keys add.*\n$/ })
  t.notOk(existsSync(dataDir), 'a wrong folder is left as it is')

  const added = await soakp('keys add --name team --json', `${old}\n`)
  const key = json(t, added)
  t.match(key, { object: 'key', id: /^key_/, name: 'team', base_url: upstream.url, token: { token: /^ey/ } })
  t.match(added.stderr, /^Admin {2}soakp_admin_\S+ .*shown this once.*\n$/)

  const checked = await soakp(`keys check ${key.id}`)
  t.match(checked, { code: 4, stdout: `${key.id} does not work: ` })
  t.match(checked.stdout, `\`soakp keys replace ${key.id}\``)
  t.match(json(t, await soakp(`keys replace ${key.id} --json`, upstream.key)), { id: key.id, version: 2 })
  t.match(json(t, await soakp(`keys check ${key.id} --json`)), { object: 'key.check', works: true })
  t.match(await soakp(`keys rename ${key.id} 'a b'`), { code: 0, stdout: `${key.id} is called a b.\n` })

  const limits = '--requests-per-minute 5 --requests-per-day 50 --parallel-requests 2'
  const scope = "--method post --path '/chat/**' --path /responses --origin https://app.example.com"
  const token = json(
    t,
    await soakp(`tokens add --subject alice --name phone --expires-in 2h ${limits} ${scope} --json`),
  )
  t.match(token, {
    key_id: key.id,
    subject: 'alice',
    name: 'phone',
    scope: { methods: ['POST'], paths: ['/chat/**', '/responses'] },
    origins: ['https://app.example.com'],
    limits: { requests_per_minute: 5, requests_per_day: 50, parallel_requests: 2 },
  })
  t.equal(token.expires_at - token.created_at, 7_200)

  t.same(json(t, await soakp(`keys delete ${key.id} --json`)), { id: key.id, object: 'key', deleted: true })
  t.match(await soakp(`tokens show ${token.id}`), { code: 0, stdout: new RegExp(`${token.id} \\(revoked\\)`) })
  t.match(await soakp('tokens add'), { code: 1, stderr: 'soakp: There is no key yet. `soakp keys add` saves one.\n' })
})

test('with a server the command goes through its socket, and what it prints works', async (t) => {
  const server = await startSoakp(t)
  const soakp = commandFor(t, server)
  const { stdout } = await soakp('keys add', server.upstream.key)
  const [, id = ''] = /^Key +(key_\S+)/.exec(stdout) ?? []
  const [, OPENAI_API_KEY = ''] = /^Token +(\S+)$/m.exec(stdout) ?? []
  const [, snippet = ''] = /^ +(const openai = .*)$/m.exec(stdout) ?? []
  const [, NODE_EXTRA_CA_CERTS = ''] = /NODE_EXTRA_CA_CERTS=(\S+) node/.exec(stdout) ?? []
  t.match(snippet, `'${server.address}/v1'`, 'the address of the server, whatever the command is configured to')

  const program = `import OpenAI from 'openai'\n${snippet}\nconsole.log((await openai.models.list()).data.length)`
  const environment = { OPENAI_API_KEY, NODE_EXTRA_CA_CERTS }
  const ran = await run(t, process.execPath, ['--input-type=module', '-e', program], { environment }).ended
  t.match(ran, { code: 0, stdout: /^\d+\n$/ }, ran.stderr)

  const page = await soakp('keys list --limit 1 --json')
  t.same(JSON.parse(page.stdout), (await server.manage('GET', '/soakp/keys?limit=1')).body)
  t.equal(page.stderr, '')
  const [, other] = await Promise.all([server.saveKey(), server.saveKey({ name: 'red\u001B[31m' })])
  const listed = await soakp('keys list --limit 2')
  t.match(
    listed.stdout,
    /^ID +NAME +UPSTREAM +SAVED\n(?:key_\S+ .* \d{4}-\d\d-\d\dT\S+[+-]\d\d:\d\d\n){2}There are more: --after key_\S+\n$/,
  )
  t.notMatch(listed.stdout, '\u001B', 'a name does not steer the terminal')

  const ambiguous = await soakp('tokens add')
  t.match(ambiguous, { code: 2, stdout: '', stderr: /^soakp: There are several keys; give one with --key: .*\n$/ })
  for (const each of [id, other.id]) t.match(ambiguous.stderr, each)
  t.match(json(t, await soakp(`tokens list --key ${other.id} --json`)), {
    data: [{ id: other.tokenId }],
    has_more: false,
  })
})

test('revoking by the command ends a running stream of the server', async (t) => {
  const server = await startSoakp(t)
  const { token, tokenId } = await server.saveKey()
  server.upstream.handle('GET', '/v1/endless', (_, response) => void response.write('data: {}\n\n'))
  const stream = await server.openai(token).get('/endless').asResponse()
  t.equal(stream.status, 200)
  const cut = t.rejects(stream.text(), 'the stream is cut')
  t.match(await commandFor(t, server)(`tokens revoke ${tokenId}`), { code: 0, stdout: `${tokenId} is revoked` })
  await cut
  t.equal((await server.call('GET', '/v1/models', { headers: { authorization: `Bearer ${token}` } })).status, 401)
})

test('rotating by the command gives a new token, and the old one works until the grace ends', async (t) => {
  const server = await startSoakp(t)
  const { token, tokenId } = await server.saveKey()
  const status = async (jwt: string) =>
    (await server.call('GET', '/soakp/me', { headers: { authorization: `Bearer ${jwt}` } })).status
  const soakp = commandFor(t, server)
  const first = json(t, await soakp(`tokens rotate ${tokenId} --grace 1h --json`))
  t.match(first, { id: tokenId, token: /^eyJ/ })
  t.same([await status(token), await status(first.token)], [200, 200])
  const shown = await soakp(`tokens rotate ${tokenId} --grace 0`)
  t.match(shown, { code: 0, stdout: /^Token +eyJ/ })
  t.same([await status(token), await status(first.token)], [401, 401])
})

test('a reset by the command ends the old admin credential of a running server', async (t) => {
  const server = await startSoakp(t, { SOAKP_ADMIN_TOKEN: undefined })
  const status = async (credential: string | undefined) =>
    (await server.call('GET', '/soakp/keys', { headers: { authorization: `Bearer ${credential}` } })).status
  const old = server.app.unsealed.newAdminCredential?.reveal()
  t.equal(await status(old), 200)
  const { code, stdout } = await commandFor(t, server)('admin reset')
  t.equal(code, 0)
  t.equal(await status(old), 401)
  t.equal(await status(/soakp_admin_\S+/.exec(stdout)?.[0]), 200)
})

test('wrong usage is one line and exit code 2, and a secret among the arguments is not repeated', async (t) => {
  const server = await startSoakp(t)
  const soakp = commandFor(t, server)
  const { key } = server.upstream
  const refusals = await Promise.all([
    soakp(`keys add ${key}`),
    soakp(`keys replace key_x ${key}`),
    soakp(`keys add --key=${key.replace('sk-', 'xx-')}`),
    soakp(`keys ${key}`),
  ])
  for (const refusal of refusals) {
    t.match(refusal, { code: 2, stdout: '', stderr: /^soakp: A key is never given as an argument: .*history.*\n$/ })
    t.notMatch(refusal.stderr, key.slice(3))
  }
  t.equal((await server.manage('GET', '/soakp/keys')).body.data.length, 0, 'nothing is saved')

  const [empty, unknown, missing] = await Promise.all([
    soakp('keys add'),
    soakp('keys lst --json'),
    soakp('tokens revoke tok_none --json'),
  ])
  t.match(empty, { code: 2, stderr: /^soakp: No key was given\. .*\n$/ })
  t.match(unknown, { code: 2, stdout: '' })
  t.match(JSON.parse(unknown.stderr), { error: { code: 'SOAKP_USAGE', message: /Did you mean list\?/ } })
  t.match(missing, { code: 3, stdout: '' })
  t.same(JSON.parse(missing.stderr), (await server.manage('GET', '/soakp/tokens/tok_none')).body)
})

const PYTHON = `
import os, pty, sys
answers = [[part.encode() for part in pair.split('=')] for pair in sys.argv[1].split(';')]
pid, terminal = pty.fork()
if pid == 0: os.execvp(sys.argv[2], sys.argv[2:])
seen, begin = b'', 0
while True:
  try: data = os.read(terminal, 4096)
  except OSError: break
  if not data: break
  seen += data
  if answers and answers[0][0] in seen[begin:]:
    begin = len(seen)
    os.write(terminal, answers.pop(0)[1] + b'\\r')
sys.stdout.write(seen.decode())
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
`
const needsPython = spawnSync('python3', ['-c', 'import pty']).status === 0 ? false : 'needs python3'

test(
  'on a terminal a key is asked for without showing it, and revoking asks first',
  { skip: needsPython },
  async (t) => {
    const server = await startSoakp(t)
    const environment = { SOAKP_DATA_DIR: server.dataDir, SOAKP_UPSTREAM: server.upstream.url }
    const typing = (answers: string, ...words: string[]) =>
      run(t, 'python3', ['-c', PYTHON, answers, process.execPath, 'bin/soakp.js', ...words], { environment }).ended

    const added = await typing(`API key=${server.upstream.key}`, 'keys', 'add')
    t.equal(added.code, 0, added.stdout)
    t.match(added.stdout, 'API key')
    t.notMatch(added.stdout, server.upstream.key.slice(-8), 'nothing of it is shown')
    const [, tokenId = ''] = /(tok_[\w-]+)/.exec(added.stdout) ?? []
    const isLive = async () => (await server.manage('GET', `/soakp/tokens/${tokenId}`)).body.revoked_at === null

    t.match(await typing('[y/N]=n', 'tokens', 'revoke', tokenId), { code: 1, stdout: /Nothing was changed/ })
    t.ok(await isLive())
    t.match(await typing('[y/N]=y', 'tokens', 'revoke', tokenId), { code: 0, stdout: /is revoked/ })
    t.notOk(await isLive())
  },
)
