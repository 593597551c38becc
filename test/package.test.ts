import { chmod, cp, mkdir, readFile, readdir, rm, symlink, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { test } from 'tap'
import type { Test } from 'tap'
import { startPracticeUpstream } from '../practice/upstream.ts'
import { ROOT, needs, run } from './support/process.ts'
import { temporaryFolder } from './support/soakp.ts'

interface Packed {
  readonly filename: string
  readonly size: number
  readonly unpackedSize: number
  readonly files: readonly { readonly path: string; readonly mode: number }[]
}

const MOST_BYTES = 400_000

async function succeed(t: Test, command: string, args: readonly string[], options: Parameters<typeof run>[3] = {}) {
  const ended = await run(t, command, args, options).ended
  if (ended.code !== 0) throw new Error(`${command} ${args.join(' ')}: ${ended.stdout}${ended.stderr}`)
  return ended
}

/** Builds and packs what would be published, in a folder of its own. */
async function pack(t: Test, folder: string): Promise<Packed> {
  for (const name of ['package.json', 'bin', 'README.md', 'CHANGELOG.md', 'LICENSE']) {
    await cp(join(ROOT, name), join(folder, name), { recursive: true })
  }
  const compiler = join(ROOT, 'node_modules/.bin/tsc')
  await succeed(t, compiler, ['-p', join(ROOT, 'tsconfig.build.json'), '--outDir', join(folder, 'dist')])
  const { stdout } = await succeed(t, 'npm', ['pack', '--json', '--ignore-scripts', '--offline'], { cwd: folder })
  const [packed] = JSON.parse(stdout) as [Packed]
  return packed
}

/**
 * Installs a packed SOAKP into an empty folder as npm would, without a network: its own files from the tarball, and of
 * packages only those that it names, linked from this clone. What this cannot show is that a registry gives the same.
 */
async function install(t: Test, tarball: string, folder: string): Promise<void> {
  const soakp = join(folder, 'node_modules/soakp')
  await mkdir(soakp, { recursive: true })
  await succeed(t, 'tar', ['-xzf', tarball, '-C', soakp, '--strip-components=1'])
  const { dependencies, bin } = JSON.parse(await readFile(join(soakp, 'package.json'), 'utf8')) as {
    dependencies: Record<string, string>
    bin: { soakp: string }
  }
  for (const name of Object.keys(dependencies)) {
    const link = join(folder, 'node_modules', name)
    await mkdir(dirname(link), { recursive: true })
    await symlink(join(ROOT, 'node_modules', name), link)
  }
  await mkdir(join(folder, 'node_modules/.bin'))
  await symlink(join('../soakp', bin.soakp), join(folder, 'node_modules/.bin/soakp'))
  await chmod(join(soakp, bin.soakp), 0o755)
  await writeFile(join(folder, 'package.json'), '{}')
}

test('the packed package', { skip: needs('npm') || needs('tar') }, async (t) => {
  const [source, folder] = [await temporaryFolder(t), await temporaryFolder(t)]
  const packed = await pack(t, source)
  await install(t, join(source, packed.filename), folder)
  const upstream = await startPracticeUpstream()
  t.teardown(() => upstream.close())
  const environment = { SOAKP_UPSTREAM: upstream.url, KEY: upstream.key }
  const node = (name: string, ...args: string[]) =>
    run(t, process.execPath, [join(folder, name), ...args], { cwd: folder, environment }).ended
  const ended = { code: 0, signal: null, stderr: '' }

  await t.test('holds what is built and nothing else', async (step) => {
    const paths = packed.files.map(({ path }) => path)
    for (const path of ['dist/index.js', 'dist/index.d.ts', 'dist/fastify.config.js', 'bin/soakp.js', 'LICENSE']) {
      step.ok(paths.includes(path), path)
    }
    const isWanted = (path: string) =>
      /^(?:bin\/[\w-]+\.js|dist\/.+\.js|dist\/.+\.d\.ts|package\.json|README\.md|CHANGELOG\.md|LICENSE)$/.test(path)
    step.strictSame(
      paths.filter((path) => !isWanted(path) || /(?:^|\/)(?:test|practice|bench|node_modules|data)\//.test(path)),
      [],
      'no sources, no tests, no Node',
    )
    step.ok(packed.size < MOST_BYTES, `${packed.size} bytes, ${packed.unpackedSize} unpacked`)
  })

  await t.test('does nothing when it is loaded, whatever the command line says', async (step) => {
    await writeFile(join(folder, 'load.cjs'), `process.stdout.write(Object.keys(require('soakp')).sort().join(' '))`)
    const loaded = await node('load.cjs')
    step.match(loaded, ended)
    step.match(loaded.stdout, /\bcreateSoakp\b.*\bdefault\b.*\bplugin\b.*\brequest\b.*\bsaveKey\b/)
    const code = `await import('soakp'); await import('./node_modules/soakp/dist/fastify.config.js')`
    const args = ['--input-type=module', '-e', code, 'no-such-file']
    step.match(await run(t, process.execPath, args, { cwd: folder, environment }).ended, { ...ended, stdout: '' })
    step.notOk((await readdir(folder)).includes('data'), 'no folder is made')
  })

  await t.test('is required, saves a key, calls and ends by itself', async (step) => {
    await writeFile(
      join(folder, 'app.cjs'),
      `const soakp = require('soakp')
      async function main() {
        const token = soakp.saveKey(process.env.KEY)
        const { choices } = await soakp.request(token, 'chat/completions', {
          model: 'gpt-5-mini', messages: [{ role: 'user', content: 'Hello' }] })
        const models = await soakp.request(token, 'models')
        console.log(JSON.stringify([choices.length, models.object, await token]))
      }
      main()`,
    )
    const { stdout, ...rest } = await node('app.cjs')
    step.match(rest, ended)
    const [choices, object, token] = JSON.parse(stdout) as [number, string, string]
    step.strictSame([choices, object], [1, 'list'], 'and prints nothing of its own')
    step.ok((await readdir(join(folder, 'data'))).includes('seal.jwe'), 'the folder is ./data, as the server’s')

    await writeFile(
      join(folder, 'app.mjs'),
      `import soakp, { createSoakp, request } from 'soakp'
      const [, , token] = process.argv
      let text = ''
      const parameters = { model: 'gpt-5-mini', stream: true, messages: [{ role: 'user', content: 'Hello' }] }
      for await (const chunk of await request(token, 'chat/completions', parameters)) {
        text += chunk.choices[0]?.delta?.content ?? ''
      }
      const own = createSoakp({ dataDir: 'own', upstream: process.env.SOAKP_UPSTREAM })
      const models = await own.request(own.saveKey(process.env.KEY), 'models')
      const { remaining, limits } = await soakp.request(token, '/soakp/me')
      console.log(JSON.stringify([text, models.object, limits.requests_per_day - remaining.requests_per_day]))
      await own.close()`,
    )
    const imported = await node('app.mjs', token)
    step.match(imported, ended)
    const [text, models, used] = JSON.parse(imported.stdout) as [string, string, number]
    step.match([text, models], [/Hello$/, 'list'], 'imported, the token of the other process works')
    step.equal(used, 3, 'and what that one called is counted')
  })

  await t.test('has the command', async (step) => {
    const { stdout } = await succeed(t, join(folder, 'node_modules/.bin/soakp'), ['--help'], { cwd: folder })
    step.match(stdout, /Usage: soakp/)
    const npx = await succeed(t, 'npx', ['--no', '--offline', 'soakp', 'keys', 'list', '--json'], { cwd: folder })
    step.equal((JSON.parse(npx.stdout) as { data: unknown[] }).data.length, 1, 'which finds what the library saved')
  })

  await t.test('has types', async (step) => {
    await writeFile(
      join(folder, 'app.ts'),
      `import soakp, { CallError, createSoakp } from 'soakp'
      import type { EventStream, Library } from 'soakp'
      const own: Library = createSoakp({ dataDir: 'own', tokenDays: 7, allowedOrigins: ['https://a.example'] })
      const token: string = await own.saveKey('sk-x', { organization: 'org-1' })
      const stream = await soakp.request<EventStream<{ n: number }>>(token, 'responses', { stream: true })
      for await (const { n } of stream) n.toFixed()
      const minted = await own.mint({ key_id: 'k', scope: { methods: ['GET'] }, limits: { requests_per_day: 5 } })
      minted.token.length + minted.expires_at
      export const status = (error: unknown) => (error instanceof CallError ? error.status : undefined)
      // @ts-expect-error -- it does not listen
      createSoakp({ port: 1 })`,
    )
    const compiler = join(ROOT, 'node_modules/.bin/tsc')
    const options = ['--noEmit', '--strict', '--skipLibCheck', '--module', 'nodenext', '--target', 'es2024']
    const types = ['--types', 'node', '--typeRoots', join(ROOT, 'node_modules/@types')]
    await writeFile(join(folder, 'package.json'), '{"type":"module"}')
    step.match(await run(t, compiler, [...options, ...types, 'app.ts'], { cwd: folder }).ended, {
      code: 0,
      stdout: '',
    })
    await rm(join(folder, 'app.ts'))
  })
})
