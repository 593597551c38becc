import { execFile } from 'node:child_process'
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { test } from 'tap'
import { readmeWithSettings } from '../tools/readme.ts'
import { ADMIN, startSoakp, temporaryFolder } from './support/soakp.ts'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const readme = await readFile(join(root, 'README.md'), 'utf8')
const run = promisify(execFile)

function blocks(kind: string): string[] {
  const found = readme.matchAll(new RegExp(`<!-- runs: ${kind} -->\\n\`\`\`\\w+\\n([\\s\\S]*?)\`\`\``, 'g'))
  return [...found].map(([, code = '']) => code)
}

test('the table of configuration variables is the one that the code obeys', async (t) => {
  t.equal(readme, await readmeWithSettings(), 'npm run docs writes it')
})

test('the table of packages names every package that SOAKP depends on', async (t) => {
  const { dependencies } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>
  }
  const table = readme.slice(readme.indexOf('## Packages'))
  for (const name of Object.keys(dependencies)) t.match(table, new RegExp(`[|,] ${name}[ ,]`), name)
})

test('the examples do what they say', async (t) => {
  const folder = await temporaryFolder(t)
  const soakp = await startSoakp(t, { SOAKP_DATA_DIR: join(folder, 'data') })
  const { id, token } = await soakp.saveKey()
  const environment = {
    ...process.env,
    TOKEN: token,
    ADMIN,
    KEY_ID: id,
    NODE_EXTRA_CA_CERTS: join(folder, 'data/local-authority.pem'),
  }
  const here = (code: string) => code.replaceAll('localhost:3033', `localhost:${soakp.port}`)

  const [stream = '', mint = '', ...others] = blocks('curl')
  t.same(others, [])
  const streamed = await run('bash', ['-c', here(stream)], { cwd: folder, env: environment })
  t.match(streamed.stdout, /data: \[DONE\]/)
  const minted = await run('bash', ['-c', here(mint)], { cwd: folder, env: environment })
  t.match(JSON.parse(minted.stdout), { object: 'token', key_id: id, origins: ['https://app.example.com'] })

  const [program = '', realtime = ''] = blocks('node')
  // Inside the repository, so that `openai` is found.
  const scratch = join(root, '.tap', `readme-${process.pid}`)
  await mkdir(scratch, { recursive: true })
  t.teardown(() => rm(scratch, { recursive: true, force: true }))
  await writeFile(join(scratch, 'app.mjs'), here(program))
  const written = await run(process.execPath, [join(scratch, 'app.mjs')], { env: environment })
  t.match(written.stdout, /Say hello/)
  await writeFile(join(scratch, 'realtime.mjs'), here(realtime))
  const spoken = await run(process.execPath, [join(scratch, 'realtime.mjs')], { env: environment })
  t.match(spoken.stdout, /practice upstream/)

  // `soakp` is this clone; test/package.test.ts has the packed package.
  const [library = ''] = blocks('library')
  await writeFile(join(scratch, 'library.cjs'), library.replace("'soakp'", JSON.stringify(join(root, 'index.ts'))))
  const settings = { SOAKP_DATA_DIR: join(folder, 'own'), SOAKP_UPSTREAM: soakp.upstream.url }
  const answered = await run(process.execPath, [join(scratch, 'library.cjs')], {
    env: { ...process.env, ...settings, OPENAI_API_KEY: soakp.upstream.key },
  })
  t.match(answered.stdout, /Say hello/)
})

test('every command that it names exists', async (t) => {
  const commands = [...readme.matchAll(/^npm run soakp (?:-- )?([^#\n]+)/gm)].map(([, words = '']) => words.trim())
  t.ok(commands.length > 5)
  for (const command of new Set(commands.map((each) => each.split(' ').slice(0, 2).join(' ')))) {
    const { stdout } = await run(process.execPath, [join(root, 'bin/soakp.js'), ...command.split(' '), '--help'])
    t.match(stdout, /Usage: soakp/, command)
  }
})

test('every script that it names exists', async (t) => {
  const { scripts } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { scripts: object }
  for (const [, name = ''] of readme.matchAll(
    /npm (?:run )?(start|test|practice|build|bench|docs|soakp|test:long)\b/g,
  )) {
    t.ok(name in scripts, name)
  }
})
