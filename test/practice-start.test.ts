import { readFileSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import { startPracticeUpstream } from '../practice/upstream.ts'
import { ROOT, needs, run } from './support/process.ts'
import { temporaryFolder } from './support/soakp.ts'

test('practice streams a completion, prints commands that work, and leaves nothing behind', async (t) => {
  const { scripts } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'))
  t.equal(scripts.practice, 'exec node practice/start.ts')
  const TMPDIR = await temporaryFolder(t)
  const environment = { SOAKP_PORT: '0', TMPDIR }
  const practice = run(t, process.execPath, ['practice/start.ts'], { environment })
  await practice.printed(/tokens revoke tok_/)
  t.match(practice.stdout(), /Hello from the practice upstream!/)
  const commands = practice.stdout().split(/^# .*\n/m)
  const shell = (command = '') => run(t, 'sh', ['-c', command], { environment: { TMPDIR } }).ended

  await t.test('with curl', { skip: needs('curl') }, async (withCurl) => {
    const stream = await shell(commands[1])
    withCurl.match(stream, { code: 0, stdout: /Hello.*from.*curl.*data: \[DONE\]/s }, stream.stderr)
    withCurl.match(await shell(commands[3]), { code: 0, stdout: /"remaining":\{"requests_per_minute":\d+/ })
  })
  const sdk = await shell(commands[2])
  t.match(sdk, { code: 0, stdout: /Hello from Node/ }, sdk.stderr)

  await t.test('revoking its token', { skip: needs('npm') }, async (revoking) => {
    const revoked = await shell(commands[4])
    revoking.match(revoked, { code: 0 }, revoked.stderr)
    revoking.match(await shell(commands[2]), { code: 1, stderr: /401 The token is not valid/ })
  })

  practice.kill('SIGINT')
  t.match(await practice.ended, { code: 0, stderr: '' })
  t.same(await readdir(TMPDIR), [], 'the data folder is gone')
})

test('practice without its port says which one is taken, and leaves nothing behind', async (t) => {
  const TMPDIR = await temporaryFolder(t)
  const taken = await startPracticeUpstream()
  t.teardown(() => taken.close())
  const environment = { SOAKP_PORT: String(taken.port), TMPDIR }
  const { code, stderr } = await run(t, process.execPath, ['practice/start.ts'], { environment }).ended
  t.equal(code, 1)
  t.match(stderr, new RegExp(`^soakp: Port ${taken.port} on 127.0.0.1 is in use .*SOAKP_PORT.*\\n$`))
  t.same(await readdir(TMPDIR), [])
})
