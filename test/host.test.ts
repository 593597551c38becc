import { spawnSync } from 'node:child_process'
import { chmod, mkdir, readFile, readdir, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import type { Test } from 'tap'
import { startPracticeUpstream } from '../practice/upstream.ts'
import { settings } from '../services/settings.ts'
import { ROOT, run } from './support/process.ts'
import type { Ended } from './support/process.ts'
import { temporaryFolder } from './support/soakp.ts'

const unit = await readFile(join(ROOT, 'deploy/soakp.service'), 'utf8')
const guide = await readFile(join(ROOT, 'docs/host.md'), 'utf8')

function needs(...programs: string[]): string | false {
  const missing = programs.filter((program) => spawnSync(program, ['--version']).status !== 0)
  return missing.length === 0 ? false : `needs ${missing.join(', ')}`
}

/** The commands of the guide under one of its marks. */
function commands(mark: string): string {
  const [, text] = new RegExp(`<!-- runs: ${mark} -->\\n\`\`\`sh\\n([^]*?)\`\`\``).exec(guide) ?? []
  if (text === undefined) throw new Error(`docs/host.md has no commands marked ${mark}`)
  return text
}

/** The values of a setting of the unit, which may stand there several times. */
function valuesOf(name: string): string[] {
  return [...unit.matchAll(new RegExp(`^${name}=(.*)$`, 'gm'))].map(([, value = '']) => value)
}

test('systemd rates the exposure of the unit 2.0 or lower', { skip: needs('systemd-analyze') }, async (t) => {
  const args = ['security', '--offline=true', '--no-pager', 'deploy/soakp.service']
  const { stdout, stderr } = await run(t, 'systemd-analyze', args).ended
  const [line = '', level] = /Overall exposure level for soakp\.service: ([\d.]+).*/.exec(stdout) ?? []
  t.ok(Number(level) > 0 && Number(level) <= 2, line || stderr)
  t.comment(line)
})

test('systemd understands every line of the unit', { skip: needs('systemd-analyze') }, async (t) => {
  const folder = await temporaryFolder(t)
  const here = unit.replace('/opt/node/bin/node /opt/soakp/', `${process.execPath} ${ROOT}/`)
  t.not(here, unit)
  await writeFile(join(folder, 'soakp.service'), here)
  const { stderr } = await run(t, 'systemd-analyze', ['verify', join(folder, 'soakp.service')]).ended
  const complaints = stderr.split('\n').filter((line) => line.includes('soakp.service'))
  t.same(complaints, [])
})

test('SOAKP has one capability, no debugger and no core dump, and may make machine code', async (t) => {
  for (const name of ['AmbientCapabilities', 'CapabilityBoundingSet']) t.same(valuesOf(name), ['CAP_NET_BIND_SERVICE'])
  t.same(valuesOf('SystemCallFilter'), ['@system-service', '~@privileged @resources'])
  t.same(valuesOf('LimitCORE'), ['0'])
  t.same(valuesOf('StateDirectoryMode'), ['0700'])
  t.same(valuesOf('DynamicUser'), ['yes'])
  t.same(valuesOf('MemoryDenyWriteExecute'), [], 'V8 could not run')
})

test('whatever is set by the files and pages of deployment is a setting of SOAKP', async (t) => {
  const files = [
    'deploy/soakp.service',
    'deploy/nginx.conf',
    'deploy/compose.yaml',
    'Dockerfile',
    'docs/host.md',
    'docs/image.md',
  ]
  for (const file of files) {
    const names = (await readFile(join(ROOT, file), 'utf8')).match(/\bSOAKP_[A-Z_]+[A-Z]/g) ?? []
    t.ok(names.length > 0, `${file} sets something`)
    t.same(
      names.filter((name) => !(name in settings)),
      [],
      file,
    )
  }
})

test('the image is built from all that is compiled', async (t) => {
  const kept: string[] = (await readFile(join(ROOT, '.dockerignore'), 'utf8')).match(/(?<=^!).*/gm) ?? []
  const { include } = JSON.parse(await readFile(join(ROOT, 'tsconfig.build.json'), 'utf8')) as { include: string[] }
  t.same(
    include.filter((name) => !kept.includes(name)),
    [],
  )
  t.notOk(kept.includes('data'))
})

test(
  'the page for hosts leads from a root key to a restored backup',
  { skip: needs('bash', 'curl', 'tar') },
  async (t) => {
    const upstream = await startPracticeUpstream()
    t.teardown(() => upstream.close())
    const host = await startHost(t, { SOAKP_PORT: '0', SOAKP_HOST: '127.0.0.1', SOAKP_UPSTREAM: upstream.url })

    t.match(await host.run(commands('key')), { code: 0, stdout: /^[\w+/]{43}=\n$/ })
    t.match(await host.run('soakp keys list'), { code: 127 })
    t.match(await host.run(commands('unit')), { code: 0, stderr: '' })
    t.ok(
      (await readdir(host.path('/var/lib/private/soakp'))).includes('seal.jwe'),
      'the data is where systemd keeps it',
    )
    t.notMatch(await host.journal(), 'no setting of SOAKP')
    const [, port = ''] = /Address +https:\/\/localhost:(\d+)/.exec(await host.journal()) ?? []

    const [add = '', call = ''] = commands('first').split(/(?<=keys add)\n/)
    const added = await host.run(`printf %s ${upstream.key} | ${add}`)
    const [token = ''] = /\beyJ[\w.-]+/.exec(added.stdout) ?? []
    t.not(token, '', added.stderr)
    const models = await host.run(call.replace('localhost/', `localhost:${port}/`), { TOKEN: token })
    t.match(models, { code: 0, stdout: /practice-fast/ })

    const [, old = ''] = /(soakp_admin_[\w-]+)/.exec(await host.journal()) ?? []
    t.not(old, '', 'the first start wrote a credential into the journal')
    const reset = await host.run(commands('admin'))
    t.match(reset.stdout, /soakp_admin_/)
    t.notMatch(reset.stdout, old)

    t.match(await host.run(commands('backup')), { code: 0, stderr: '' })
    const [, id = ''] = /(key_[\w-]+)/.exec(added.stdout) ?? []
    t.match(await host.run(`soakp keys delete ${id}`), { code: 0 })
    t.notMatch((await host.run('soakp keys list')).stdout, id)
    t.match(await host.run(commands('restore')), { code: 0, stderr: '' })
    t.match((await host.run('soakp keys list')).stdout, id, 'what was in the backup is there again')

    t.match(await host.run('systemctl stop soakp'), { code: 0 })
    t.match(await host.run('soakp keys list'), { code: 1, stderr: 'soakp: first, systemctl start soakp\n' })
  },
)

interface Host {
  path(absolute: string): string
  run(script: string, environment?: Record<string, string>): Promise<Ended>
  journal(): Promise<string>
}

/**
 * Makes a folder that stands for a host's root: paths in the guide's commands are put below it, and `systemctl` is a
 * script that starts and stops what the unit says, with its environment and credentials but without its sandbox.
 */
async function startHost(t: Test, environmentFile: Record<string, string>): Promise<Host> {
  const root = await temporaryFolder(t)
  const path = (absolute: string) => join(root, absolute)
  const below = (text: string) => text.replaceAll(/(?<![\w.])\/(?:opt|etc|var|usr|root)\//g, `${root}$&`)
  for (const folder of [
    'opt/node/bin',
    'etc/systemd/system',
    'etc/soakp',
    'var/lib/private',
    'usr/local/sbin',
    'root',
    'bin',
  ]) {
    await mkdir(join(root, folder), { recursive: true })
  }
  await symlink(process.execPath, path('/opt/node/bin/node'))
  await symlink(ROOT, path('/opt/soakp'))
  await symlink('private/soakp', path('/var/lib/soakp'))
  const lines = Object.entries(environmentFile).map(([name, value]) => `${name}=${value}\n`)
  await writeFile(path('/etc/soakp/soakp.env'), lines.join(''))
  const environment = valuesOf('Environment').map((each) =>
    each.replace('%S', path('/var/lib')).replace('%d', path('/credentials')),
  )
  const [source = '', target = ''] = (valuesOf('LoadCredential')[0] ?? '').split(':').toReversed()
  const systemctl = `#!/usr/bin/env bash
    set -eu
    cd ${root}
    verb=$1
    start() {
      mkdir -p -m 700 ${path('/var/lib/private/soakp')} ${path('/credentials')}
      cp -f ${below(source)} ${path('/credentials')}/${target}
      env -i ${environment.join(' ')} $(cat ${path('/etc/soakp/soakp.env')}) \\
        CREDENTIALS_DIRECTORY=${path('/credentials')} ${below(valuesOf('ExecStart')[0] ?? '')} >> ${path('/journal')} 2>&1 &
      echo $! > ${path('/pid')}
      for tries in {1..600}; do
        [[ -S ${path('/var/lib/private/soakp/soakp.sock')} ]] && grep -q Next ${path('/journal')} && return
        kill -0 $!
        sleep 0.05
      done
      exit 1
    }
    stop() { kill "$(cat ${path('/pid')})"; while kill -0 "$(cat ${path('/pid')})" 2>/dev/null; do sleep 0.05; done; rm ${path('/pid')}; }
    case $verb in
      daemon-reload) ;;
      enable|start) cmp -s ${path('/etc/systemd/system/soakp.service')} ${join(ROOT, 'deploy/soakp.service')}; start ;;
      stop) stop ;;
      is-active) [[ -e ${path('/pid')} ]] ;;
      *) exit 64 ;;
    esac`
  await writeFile(path('/bin/systemctl'), systemctl)
  await chmod(path('/bin/systemctl'), 0o755)
  t.teardown(async () => {
    const left = `kill -KILL "$(cat ${path('/pid')})"`
    await run(t, 'sh', ['-c', left]).ended
  })
  const PATH = `${path('/bin')}:${path('/usr/local/sbin')}:${process.env['PATH'] ?? ''}`
  return {
    path,
    run: (script, extra = {}) => run(t, 'bash', ['-euc', below(script)], { environment: { PATH, ...extra } }).ended,
    journal: () => readFile(path('/journal'), 'utf8'),
  }
}
