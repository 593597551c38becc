import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import { readConfiguration } from '../../services/configuration.ts'
import type { Environment } from '../../services/environment.ts'
import { settings } from '../../services/settings.ts'
import { temporaryFolder } from '../support/soakp.ts'

const SECRET = 'fVq2nU7xk0Zr9WcT4bLdYs81'

const read = (environment: Environment) => readConfiguration({ ...environment }, '/srv/soakp')

for (const sample of [
  'jQQJjmb0BP2Q8033',
  'jQQJjmb0BP2Q8033jQQJjmb0BP2Q8033',
  'hbQUKRvvT0rQD6M38NT9NtYm',
  'testuser123',
  'testuser123testuser123',
  'changeme',
  'changeme-changeme-changeme',
  'change-me-please-0123456789',
  'your-secret-key-goes-here-please',
  'my_super_secret_key_1234567890',
  'this-is-an-example-of-a-secret',
  'correct-password-1234567',
  'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa',
  'abababababababababababababababab',
  '12345678901234567890',
]) {
  test(`"${sample}" is no secret: production refuses it, a trial warns`, async (t) => {
    const refusal = { code: 'SOAKP_CONFIGURATION', message: /^SOAKP_SECRET .*openssl rand/ }
    t.throws(() => read({ NODE_ENV: 'production', SOAKP_SECRET: sample }), refusal)
    t.throws(() => read({ NODE_ENV: 'production', JWT_SECRET: sample }), refusal)
    const admin = { NODE_ENV: 'production', SOAKP_SECRET: SECRET, SOAKP_ADMIN_TOKEN: sample }
    t.throws(() => read(admin), { message: /^SOAKP_ADMIN_TOKEN .*openssl rand/ })
    t.match(read({ SOAKP_SECRET: sample }).warnings, [/^SOAKP_SECRET /])
  })
}

test('generated secrets are taken, in production too', async (t) => {
  for (const secret of [
    SECRET,
    'c3VwZXItcmFuZG9tLWJ5dGVzLTMyLWxvbmctb2s',
    '4f1c9a0be7d2683510fa9c4e',
    'Grüße-vom-Rhein-Ω-2026',
  ]) {
    t.same(read({ NODE_ENV: 'production', SOAKP_SECRET: secret }).warnings, [])
  }
})

test('secrets are gone from the environment once read, under all their names', async (t) => {
  const environment: Environment = { SOAKP_SECRET: SECRET, JWT_SECRET: 'old', AUTH_PASS: SECRET, PATH: '/bin' }
  const { configuration } = readConfiguration(environment, '/srv/soakp')
  t.same(environment, { PATH: '/bin' })
  t.notMatch(JSON.stringify(configuration), SECRET)
})

test('a secret is taken from its file, then the credentials folder, then the variable', async (t) => {
  const folder = await temporaryFolder(t)
  await mkdir(join(folder, 'credentials'))
  const credential = join(folder, 'credentials', 'soakp_secret')
  await writeFile(credential, `of-the-credentials-${SECRET}\r\n`)
  await writeFile(join(folder, 'file'), `of-the-file-${SECRET}\n`)
  const secretOf = (environment: Environment) => {
    const { unseal } = read({ SOAKP_SECRET: `of-the-variable-${SECRET}`, ...environment }).configuration
    return unseal.kind === 'secret' ? unseal.secret.reveal() : undefined
  }
  const CREDENTIALS_DIRECTORY = join(folder, 'credentials')
  t.equal(secretOf({ CREDENTIALS_DIRECTORY, SOAKP_SECRET_FILE: join(folder, 'file') }), `of-the-file-${SECRET}`)
  t.equal(secretOf({ CREDENTIALS_DIRECTORY, SOAKP_SECRET_FILE: '' }), `of-the-credentials-${SECRET}`)
  t.equal(secretOf({ CREDENTIALS_DIRECTORY: folder }), `of-the-variable-${SECRET}`)
})

test('an empty or missing secret file is refused, and not taken for no secret at all', async (t) => {
  const file = join(await temporaryFolder(t), 'file')
  t.throws(() => read({ SOAKP_SECRET_FILE: file }), {
    message: `SOAKP_SECRET is to be read from ${file}, which fails. See that the file is there and may be read.`,
  })
  await writeFile(file, '\n')
  t.throws(() => read({ SOAKP_SECRET_FILE: file }), { message: /^SOAKP_SECRET .* is empty\.$/ })
})

test('a secret that was set where the path of its file belongs is not repeated', (t) => {
  const secret = 'Zk3vQ9canary+8sT/wL2xB7nR4='
  for (const name of ['SOAKP_SECRET', 'SOAKP_ADMIN_TOKEN']) {
    t.throws(() => read({ [`${name}_FILE`]: secret }), {
      message: new RegExp(`^${name}_FILE names no file that can be read`),
      cause: undefined,
    })
  }
  t.end()
})

for (const [name, value] of [
  ['SOAKP_PORT', '65536'],
  ['SOAKP_PORT', '0x10'],
  ['SOAKP_TLS', 'on'],
  ['SOAKP_TLS', 'files'],
  ['SOAKP_TOKEN_DAYS', '366'],
  ['SOAKP_DRAIN_SECONDS', '-1'],
  ['SOAKP_LOG_LEVEL', 'loud'],
  ['SOAKP_UPSTREAM', 'api.openai.com/v1'],
  ['SOAKP_UPSTREAM', 'https://user:pass@api.openai.com/v1'],
  ['SOAKP_UPSTREAM_CA_FILE', '/nowhere/ca.pem'],
  ['SOAKP_ALLOW_PRIVATE_UPSTREAMS', '10.0.0.5'],
  ['SOAKP_ALLOWED_ORIGINS', '*'],
  ['SOAKP_TRUSTED_PROXIES', 'true'],
  ['SOAKP_TRUSTED_PROXIES', '1'],
  ['SOAKP_TRUSTED_PROXIES', '10.0.0.0/8, nginx'],
  ['SOAKP_TRUSTED_PROXIES', '10.0.0.0/33'],
  ['SOAKP_TRUSTED_PROXIES', '10.0.0.0/255.0.0.0'],
  ['SOAKP_TRUSTED_PROXIES', '0.0.0.0/0'],
  ['SOAKP_TRUSTED_PROXIES', '::/0'],
  ['SOAKP_TRUSTED_PROXIES', 'fe80::1%eth0'],
] as const) {
  test(`${name}=${value} is refused with a sentence that names it`, async (t) => {
    t.throws(() => read({ [name]: value }), { name: 'SoakpError', message: new RegExp(name) })
  })
}

test('addresses and ranges of trusted proxies are taken', async (t) => {
  const proxies = '10.0.0.5, 172.16.0.0/12,fd00::/8 ,::1'
  const { trustedProxies } = read({ SOAKP_TRUSTED_PROXIES: proxies }).configuration
  t.same(trustedProxies, ['10.0.0.5', '172.16.0.0/12', 'fd00::/8', '::1'])
})

test('a new name wins over an old one, and the HTTPS port of 2023 over its other one', async (t) => {
  t.match(read({ SOAKP_PORT: '1', SERVER_PORT: '2' }), { configuration: { port: 1 }, warnings: [] })
  t.match(read({ SECURE_PORT: '3033', SERVER_PORT: '3003' }), {
    configuration: { port: 3033 },
    warnings: [/SECURE_PORT/],
  })
})

test('every variable is known under its own name, and only secrets under _FILE', async (t) => {
  const unknown = /is no setting of SOAKP/
  const folder = await temporaryFolder(t)
  await writeFile(join(folder, 'secret'), SECRET)
  t.match(read({ SOAKP_PORT_FILE: '/x', SOAKP_DATADIR: 'x' }).warnings, [unknown, unknown])
  t.same(read({ SOAKP_SECRET_FILE: join(folder, 'secret') }).warnings, [])
  t.same(read(Object.fromEntries(Object.keys(settings).map((name) => [name, '']))).warnings, [])
})
