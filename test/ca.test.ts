import { spawnSync } from 'node:child_process'
import { X509Certificate } from 'node:crypto'
import { mkdir, readFile, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import type { Test } from 'tap'
import { changeLines } from '../cli/ca.ts'
import { createLocalAuthority, issueLocalCertificate } from '../services/local-authority.ts'
import type { LocalAuthority } from '../services/local-authority.ts'
import { readAuthority } from '../services/trust/authority.ts'
import { changeTrust, findTrustStores } from '../services/trust/index.ts'
import type { TrustChange } from '../services/trust/index.ts'
import type { Machine } from '../services/trust/machine.ts'
import { needs, run } from './support/process.ts'
import { temporaryFolder } from './support/soakp.ts'

/** A data folder with the certificate of an authority in it. */
async function authorityFolder(t: Test): Promise<{ folder: string; file: string; authority: LocalAuthority }> {
  const folder = await temporaryFolder(t)
  const authority = await createLocalAuthority(new Date())
  const file = join(folder, 'local-authority.pem')
  await writeFile(file, authority.certificatePem)
  return { folder, file, authority }
}

/** A machine that is a folder, and whose programs only say that they were run; `codes` are their exit codes. */
function machineIn(root: string, platform: NodeJS.Platform = 'linux', codes: Record<string, number> = {}) {
  const runs: string[] = []
  const machine: Machine = {
    platform,
    root,
    home: join(root, 'home'),
    async run(program, args) {
      const line = [program, ...args].join(' ').replaceAll(root, '')
      runs.push(line)
      const [, code = 0] = Object.entries(codes).find(([begin]) => line.startsWith(begin)) ?? []
      return { code, output: code === 0 ? '' : `${program} says why\nand more` }
    },
  }
  return { machine, runs }
}

async function changeAll(machine: Machine, file: string, direction: 'trust' | 'untrust'): Promise<TrustChange[]> {
  const authority = await readAuthority(file)
  const changes: TrustChange[] = []
  for (const store of await findTrustStores(machine, authority, ['system', 'browsers'])) {
    changes.push(await changeTrust(machine, store, direction))
  }
  return changes
}

const SYSTEMS = [
  ['Debian', 'usr/local/share/ca-certificates', 'crt', 'update-ca-certificates'],
  ['Fedora', 'etc/pki/ca-trust/source/anchors', 'pem', 'update-ca-trust extract'],
  ['Arch', 'etc/ca-certificates/trust-source/anchors', 'crt', 'trust extract-compat'],
  ['openSUSE', 'etc/pki/trust/anchors', 'pem', 'update-ca-certificates'],
] as const

for (const [system, path, extension, update] of SYSTEMS) {
  test(`on ${system} the certificate goes into the system's folder and out again, each time once`, async (t) => {
    const { folder, file, authority } = await authorityFolder(t)
    const place = join(folder, path)
    await mkdir(place, { recursive: true })
    await writeFile(join(place, `other.${extension}`), 'of somebody')
    const { machine, runs } = machineIn(folder)

    t.match(await changeAll(machine, file, 'untrust'), [{ status: 'unchanged' }])
    t.match(await changeAll(machine, file, 'trust'), [{ kind: 'system', status: 'changed', name: new RegExp(system) }])
    const [ours = '', ...rest] = (await readdir(place)).filter((name) => !name.startsWith('other'))
    t.match(ours, new RegExp(`^soakp-local-authority-[0-9a-f]{8}\\.${extension}$`))
    t.same(rest, [])
    t.equal(await readFile(join(place, ours), 'utf8'), authority.certificatePem)
    t.same(runs, [update])
    t.match(await changeAll(machine, file, 'trust'), [{ status: 'unchanged', commands: [] }])
    t.same(runs, [update], 'nothing is done twice')

    t.match(await changeAll(machine, file, 'untrust'), [{ status: 'changed' }])
    t.same(await readdir(place), [`other.${extension}`], 'only ours is taken out')
    t.match(runs, [update, update.startsWith('update-ca-certificates') ? `${update} --fresh` : update])
  })
}

test(
  "Debian's own program links the certificate and leaves no link after untrust",
  { skip: needs('update-ca-certificates') },
  async (t) => {
    const { folder, file } = await authorityFolder(t)
    const local = join(folder, 'usr/local/share/ca-certificates')
    const [links, hooks, shipped] = ['links', 'hooks', 'shipped'].map((name) => join(folder, name))
    for (const each of [local, links, hooks, shipped]) await mkdir(each ?? '', { recursive: true })
    const other = (await createLocalAuthority(new Date())).certificatePem
    await writeFile(join(folder, 'shipped', 'other.crt'), other)
    await writeFile(join(folder, 'list'), 'other.crt\n')
    const places = Object.entries({ conf: 'list', dir: 'shipped' }).map(([name, at]) => [
      `--certs${name}`,
      join(folder, at),
    ])
    const args = [...places.flat(), '--localcertsdir', local, '--etccertsdir', links ?? '', '--hooksdir', hooks ?? '']
    const machine: Machine = {
      ...machineIn(folder).machine,
      async run(program, own) {
        const { status, stdout } = spawnSync(program, [...own, ...args], { encoding: 'utf8' })
        return { code: status ?? 1, output: stdout }
      },
    }
    const linked = async () => (await readdir(links ?? '')).filter((name) => name.startsWith('soakp')).length
    const bundle = () => readFile(join(folder, 'links', 'ca-certificates.crt'), 'utf8')
    const pem = (await readFile(file, 'utf8')).trim()

    t.match(await changeAll(machine, file, 'trust'), [{ status: 'changed' }])
    t.equal(await linked(), 1)
    t.ok((await bundle()).includes(pem))
    t.match(await changeAll(machine, file, 'untrust'), [{ status: 'changed' }])
    t.equal(await linked(), 0)
    t.notOk((await bundle()).includes(pem))
    t.ok((await bundle()).includes(other.trim()), 'others stay')
  },
)

test('what fails half way is undone, and the commands to type are given', async (t) => {
  const { folder, file } = await authorityFolder(t)
  const place = join(folder, 'usr/local/share/ca-certificates')
  await mkdir(place, { recursive: true })
  const failing = machineIn(folder, 'linux', { 'update-ca-certificates': 1 }).machine
  const [change] = await changeAll(failing, file, 'trust')
  t.match(change, { status: 'failed', message: 'update-ca-certificates failed: update-ca-certificates says why.' })
  t.same(await readdir(place), [], 'the certificate does not lie there as if it were trusted')
  const [, , copy = '', update] = change === undefined ? [] : changeLines(change)
  t.match(copy, new RegExp(`^  sudo cp ${file} ${place}/soakp-local-authority-\\w+\\.crt$`))
  t.equal(update, '  sudo update-ca-certificates')

  const { machine } = machineIn(folder)
  t.match(await changeAll(machine, file, 'trust'), [{ status: 'changed' }])
  const trusted = await readdir(place)
  t.match(await changeAll(failing, file, 'untrust'), [{ status: 'failed' }])
  t.same(await readdir(place), trusted, 'still trusted, and told so')

  const missing = machineIn(folder, 'linux', { 'update-ca-certificates': 127 }).machine
  const [untrusted] = await changeAll(missing, file, 'untrust')
  t.match(untrusted, { message: 'The program update-ca-certificates is missing.' })
  t.match(untrusted?.commands[0], ['sudo', 'rm', /\.crt$/])
})

test('a folder that this user may not change is left, and sudo is in the commands', async (t) => {
  const { folder, file } = await authorityFolder(t)
  const place = join(folder, 'etc/pki/ca-trust/source')
  await mkdir(place, { recursive: true })
  // A file in the place of the folder fails for every user, root included.
  await writeFile(join(place, 'anchors'), '')
  const { machine, runs } = machineIn(folder)
  const [change] = await changeAll(machine, file, 'trust')
  t.match(change, { status: 'failed', message: /soakp-local-authority-\w+\.pem cannot be changed \(ENOTDIR\)\.$/ })
  t.match(change?.commands, [
    ['sudo', 'cp'],
    ['sudo', 'update-ca-trust', 'extract'],
  ])
  t.same(runs, [], 'nothing else is tried')
})

test('macOS and Windows are asked by their own programs, for this user alone', async (t) => {
  const { folder, file } = await authorityFolder(t)
  const { sha1 } = await readAuthority(file)
  const keychain = '/home/Library/Keychains/login.keychain-db'
  const mac = machineIn(folder, 'darwin')
  t.match(await changeAll(mac.machine, file, 'trust'), [{ status: 'changed' }])
  t.same(mac.runs, [
    `security find-certificate -a -Z ${keychain}`,
    `security add-trusted-cert -r trustRoot -p ssl -k ${keychain} /local-authority.pem`,
  ])

  const windows = machineIn(folder, 'win32', { 'certutil -user -verifystore': 1 })
  t.match(await changeAll(windows.machine, file, 'trust'), [{ status: 'changed' }])
  t.same(windows.runs, [
    `certutil -user -verifystore Root ${sha1}`,
    'certutil -user -addstore Root /local-authority.pem',
  ])
  const after = machineIn(folder, 'win32')
  t.match(await changeAll(after.machine, file, 'untrust'), [{ status: 'changed' }])
  t.equal(after.runs[1], `certutil -user -delstore Root ${sha1}`)
  const refused = machineIn(folder, 'win32', { 'certutil -user': 1 })
  t.match(await changeAll(refused.machine, file, 'trust'), [{ commands: [['certutil', '-user']] }], 'without sudo')
})

test('nothing but an authority of SOAKP gets into a trust store', async (t) => {
  const { folder, authority } = await authorityFolder(t)
  const leaf = await issueLocalCertificate(authority, ['localhost'], new Date())
  for (const [name, text] of [
    ['leaf.pem', leaf.certificatePem],
    ['none.pem', 'no certificate'],
  ] as const) {
    const file = join(folder, name)
    await writeFile(file, text)
    await t.rejects(readAuthority(file), { code: 'SOAKP_AUTHORITY_REFUSED' }, name)
  }
})

test('the command shows the authority, or says that there is none', async (t) => {
  const { folder, file, authority } = await authorityFolder(t)
  const environment = { SOAKP_DATA_DIR: folder }
  const { fingerprint256 } = new X509Certificate(authority.certificatePem)
  const soakp = (env: Record<string, string>, ...words: string[]) =>
    run(t, process.execPath, ['bin/soakp.js', 'ca', ...words], { environment: env }).ended
  const [shown, json, none] = await Promise.all([
    soakp(environment, 'show'),
    soakp({ ...environment, NODE_EXTRA_CA_CERTS: file }, 'show', '--json'),
    soakp({ SOAKP_DATA_DIR: join(folder, 'none') }, 'trust'),
  ])
  t.match(shown, { code: 0, stderr: '' })
  t.match(shown.stdout, /^Limited to +localhost, local, internal, test, home\.arpa, .*127\.0\.0\.0\/8, .*::1\/128/m)
  for (const text of [fingerprint256, file, `NODE_EXTRA_CA_CERTS=${file} node app.js`, '--use-system-ca']) {
    t.match(shown.stdout, text)
  }
  const value = JSON.parse(json.stdout)
  t.match(value, { object: 'local_authority', path: file, sha256: fingerprint256, trusted_by_node: true })
  t.ok(value.expires_at > Date.now() / 1_000 + 9 * 365 * 86_400)
  t.match(none, { code: 3, stdout: '', stderr: /^soakp: There is no \S+ yet\. Start SOAKP once.*\n$/ })
})

const noCertutil = spawnSync('certutil', ['--help']).error === undefined ? false : 'needs certutil of NSS'

test(
  'a real NSS database believes the authority after trust, and no longer after untrust',
  { skip: noCertutil },
  async (t) => {
    const { folder, authority } = await authorityFolder(t)
    const { certificatePem } = await issueLocalCertificate(authority, ['localhost'], new Date())
    await writeFile(join(folder, 'leaf.pem'), certificatePem)
    const databases = ['.pki/nssdb', '.mozilla/firefox/abc.default'].map((path) => join(folder, 'home', path))
    for (const database of databases) {
      await mkdir(database, { recursive: true })
      spawnSync('certutil', ['-N', '-d', `sql:${database}`, '--empty-password'])
      spawnSync('certutil', ['-A', '-d', `sql:${database}`, '-n', 'leaf', '-t', ',,', '-i', join(folder, 'leaf.pem')])
    }
    const believes = () =>
      databases.map(
        (database) => spawnSync('certutil', ['-V', '-u', 'V', '-n', 'leaf', '-d', `sql:${database}`]).status === 0,
      )
    const soakp = (word: string) => {
      const environment = { SOAKP_DATA_DIR: folder, HOME: join(folder, 'home') }
      return run(t, process.execPath, ['bin/soakp.js', 'ca', word, '--store', 'browsers', '--json'], { environment })
        .ended
    }
    t.same(believes(), [false, false])
    const trusted = await soakp('trust')
    t.equal(trusted.code, 0, trusted.stderr)
    t.match(JSON.parse(trusted.stdout), {
      object: 'list',
      data: [
        { store: 'browsers', name: /^Chromium/, status: 'changed', message: /Restart the browser\.$/, commands: [] },
        { store: 'browsers', name: /^Firefox/, status: 'changed' },
      ],
    })
    t.same(believes(), [true, true])
    t.match(JSON.parse((await soakp('trust')).stdout), { data: [{ status: 'unchanged' }, { status: 'unchanged' }] })
    t.match(JSON.parse((await soakp('untrust')).stdout), { data: [{ status: 'changed' }, { status: 'changed' }] })
    t.same(believes(), [false, false])
  },
)
