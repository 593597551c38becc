import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import type { Test } from 'tap'
import { DOMAIN, startWorld, worldIsMissing } from './support/acme-world.ts'
import { STATUS, event, pretendDomain } from './support/pretended-domain.ts'
import { run } from './support/process.ts'
import type { Ended } from './support/process.ts'
import { startSoakp, temporaryFolder } from './support/soakp.ts'
import type { TestSoakp } from './support/soakp.ts'

const CREDENTIAL = 'cf-canary-7d1e0b9a5c3f'

/** Creates a `soakp` with this environment and, each time, this standard input. */
function command(t: Test, environment: Readonly<Record<string, string>>) {
  return async (words: string, INPUT = ''): Promise<Ended> => {
    const line = `printf %s "$INPUT" | '${process.execPath}' bin/soakp.js ${words}`
    return run(t, 'sh', ['-c', line], { environment: { ...environment, INPUT } }).ended
  }
}

const commandFor = (t: Test, { dataDir }: TestSoakp) => command(t, { SOAKP_DATA_DIR: dataDir })

test('the status is told in words, with a timeline that ends with the newest', async (t) => {
  const server = await startSoakp(t)
  const domain = pretendDomain(server.app)
  const soakp = commandFor(t, server)
  const { code, stdout } = await soakp('acme status')
  t.equal(code, 0)
  t.match(stdout, /^Names +ai\.example\.com, \*\.ai\.example\.com$/m)
  t.match(stdout, /^State +valid until 2030-\d\d-\d\dT\S+, \d+ days from now$/m)
  t.match(stdout, /^Served +this certificate$/m)
  t.match(stdout, /^Renewal +2030-\S+: Two thirds of its life are over then\.$/m)
  t.match(
    stdout,
    /What has happened:\n.*An attempt was started[^]*An order was made[^]*was got\. \(42\.0 s, att_1\)\n$/,
  )
  t.match(await soakp('acme status --events 1'), { stdout: /was got.*\nThere are 2 older ones: --events 3\n$/ })
  t.strictSame(
    JSON.parse((await soakp('acme status --json')).stdout),
    (await server.manage('GET', '/soakp/certificates')).body,
  )

  domain.status = {
    ...STATUS,
    state: 'missing',
    serving: 'local',
    certificate: null,
    next_renewal: null,
    running: { attempt: 'att_2', phase: 'waiting for name servers', since: 1_890_000_000 },
    holds: [{ directory: 'https://ca.example.com/dir', until: 1_890_003_600, reason: 'Too many orders.' }],
    last_error: { at: 1_890_000_000, code: 'SOAKP_ACME_DNS', problem: 'dns', message: 'No TXT\u001B[2J record.' },
  }
  const failed = await soakp('acme status')
  t.match(failed.stdout, /^State +there is none yet$/m)
  t.match(failed.stdout, /^Served +the local authority's certificate/m)
  t.match(failed.stdout, /^Now +waiting for name servers, since \S+ \(att_2\)$/m)
  t.match(failed.stdout, /^Waiting +https:\/\/ca\.example\.com\/dir, until \S+: Too many orders\.$/m)
  t.match(
    failed.stdout,
    /^Last error +\S+: No TXT\\u\{1b\}\[2J record\. \(dns\)$/m,
    'an authority does not steer the terminal',
  )
})

test('renewing and revoking tell what happens meanwhile, and what came of it', async (t) => {
  const server = await startSoakp(t)
  const domain = pretendDomain(server.app)
  const soakp = commandFor(t, server)
  const fresh = {
    ...STATUS,
    timeline: [event(1_890_000_099, 'attempt-succeeded', 'A new one was got.', {}), ...STATUS.timeline],
  }
  Object.assign(server.app.certificates ?? {}, {
    renew: async () => {
      domain.status = fresh
      return fresh
    },
  })
  const renewed = await soakp('acme renew')
  t.match(renewed, {
    code: 0,
    stdout: /^The certificate is renewed\.\nNames/,
    stderr: /some minutes …\n.*A new one was got\./,
  })
  t.notMatch(renewed.stderr, 'An order was made', 'what is old is not told')
  t.match(JSON.parse((await soakp('acme renew --json')).stdout), { object: 'certificate_status' })
  t.match(await soakp('acme revoke --reason key-compromise'), { code: 0, stdout: /^The certificate is revoked/ })
  t.match(await soakp('acme account-key'), { code: 0, stdout: /^The accounts have new keys/ })
  t.strictSame(domain.calls, [['revoke', 'key_compromise'], ['account-key']])
  t.match(await soakp('acme revoke --reason whim'), { code: 2, stderr: /Allowed choices/ })
  domain.error = new Error('a fault of the program')
  t.match(await soakp('acme revoke'), { code: 1, stdout: '' })
})

test('the check prints findings with their remedies; a fault is exit code 1', async (t) => {
  const server = await startSoakp(t)
  const fine = { check: 'clock', status: 'ok', message: 'It is right.', remedy: null } as const
  const fault = {
    check: 'zone',
    status: 'fault',
    message: 'There is none.',
    remedy: 'GET /soakp/dns/providers lists',
  } as const
  pretendDomain(server.app, [fine, fault])
  const soakp = commandFor(t, server)
  const { code, stdout } = await soakp('acme check')
  t.equal(code, 1)
  t.match(
    stdout,
    /^ok +clock +It is right\.\nfault +zone +There is none\.\n +`soakp dns providers` lists\n\n1 fault\.\n$/,
  )
  t.match(JSON.parse((await soakp('acme check --json')).stdout), { object: 'list', data: [fine, { check: 'zone' }] })
  pretendDomain(server.app, [fine])
  t.match(await soakp('acme check'), { code: 0, stdout: /Nothing is wrong\.\n$/ })
})

test('without a domain the command says what to set', async (t) => {
  const soakp = commandFor(t, await startSoakp(t))
  for (const ended of await Promise.all([soakp('acme status'), soakp('acme renew'), soakp('acme check')])) {
    t.match(ended, { code: 3, stdout: '', stderr: /SOAKP_DOMAIN and SOAKP_DNS/ })
  }
})

test('credentials are stored and removed by the command, and never shown', async (t) => {
  const soakp = commandFor(t, await startSoakp(t))
  const printed: string[] = []
  const see = async (words: string, input?: string) => {
    const ended = await soakp(words, input)
    printed.push(ended.stdout, ended.stderr)
    return ended
  }
  const [wrong, empty, program] = await Promise.all([
    see('dns set CF_TOKEN', CREDENTIAL),
    see('dns set CF_DNS_API_TOKEN', ' \n'),
    see('dns set EXEC_PATH', '/bin/sh'),
    ...[`CF_DNS_API_TOKEN ${CREDENTIAL}`, `CF_DNS_API_TOKEN=${CREDENTIAL}`, `--value ${CREDENTIAL}`].map(
      async (words) => t.match(await see(`dns set ${words}`), { code: 2, stdout: '', stderr: /shell's history/ }),
    ),
    see(`dns set ${CREDENTIAL}`),
  ])
  t.match(wrong, { code: 3, stderr: /`soakp dns providers` lists/ })
  t.match(program, { code: 2, stderr: /EXEC_PATH is set in the environment only/ })
  t.match(empty, { code: 2, stderr: /No value was given/ })
  const stored = await see('dns set CLOUDFLARE_DNS_API_TOKEN', `${CREDENTIAL}\n`)
  t.match(stored, { code: 0, stdout: 'CF_DNS_API_TOKEN is stored in the vault.\n' })
  t.match(await see('dns providers'), { stdout: /^ {2}CF_DNS_API_TOKEN .* vault /m })
  t.match(await see('dns unset CF_DNS_API_TOKEN'), { code: 0, stdout: /removed from the vault/ })
  t.match(await see('dns unset CF_DNS_API_TOKEN --json'), { code: 3, stderr: /SOAKP_DNS_VARIABLE_NOT_STORED/ })
  t.notMatch(printed.join(''), CREDENTIAL)
})

test('what the environment sets is seen without a vault, which is not made for it', async (t) => {
  const dataDir = join(await temporaryFolder(t), 'data')
  const environment = { SOAKP_DOMAIN: 'ai.example.com', SOAKP_DNS: 'cloudflare', CF_DNS_API_TOKEN: CREDENTIAL }
  const listed = await command(t, { ...environment, SOAKP_DATA_DIR: dataDir })('dns providers')
  t.match(listed, { code: 0, stderr: '', stdout: /^ {2}CF_DNS_API_TOKEN .* environment /m })
  t.notMatch(listed.stdout, CREDENTIAL)
  t.notOk(existsSync(dataDir))
})

test(
  'without a server the command checks, renews and revokes on the folder itself',
  { skip: worldIsMissing },
  async (t) => {
    const world = await startWorld(t)
    const dataDir = join(await temporaryFolder(t), 'data')
    const { RFC2136_TSIG_SECRET = '', ...environment } = world.environment
    const soakp = command(t, { ...environment, SOAKP_DATA_DIR: dataDir })
    t.match(await soakp('dns set RFC2136_TSIG_SECRET', RFC2136_TSIG_SECRET), { code: 0 })
    const checked = await soakp('acme check')
    t.equal(checked.code, 0, checked.stdout)
    t.match(checked.stdout, /^ok +record +A record was written, read and removed in soakp\.test/m)
    const renewed = await soakp('acme renew')
    t.equal(renewed.code, 0, renewed.stderr)
    t.match(renewed.stderr, /TXT record was written[^]*was issued/)
    const status = JSON.parse((await soakp('acme status --json')).stdout)
    t.match(status, { state: 'valid', serving: 'none', certificate: { names: [DOMAIN, `*.${DOMAIN}`] }, running: null })
    const files = await readFile(join(dataDir, 'soakp.db'))
    t.notOk(files.includes(RFC2136_TSIG_SECRET))
  },
)
