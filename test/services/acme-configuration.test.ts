import { networkInterfaces } from 'node:os'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'tap'
import { readConfiguration } from '../../services/configuration.ts'
import type { Environment } from '../../services/environment.ts'
import { configureLibrary, configurePlugin } from '../../services/library/options.ts'
import { listeningAddress } from '../../services/listening-address.ts'
import { temporaryFolder } from '../support/soakp.ts'

const DOMAIN = { SOAKP_DOMAIN: 'ai.example.com', SOAKP_DNS: 'cloudflare' }

const read = (environment: Environment) => readConfiguration({ ...environment }, '/srv/soakp')

/** What is read of these names. */
const namesOf = (names: string, environment: Environment = {}) =>
  read({ ...DOMAIN, SOAKP_DOMAIN: names, ...environment }).configuration.acme?.names

test('a domain and its provider are all that is needed', async (t) => {
  const { configuration, warnings } = read({ ...DOMAIN, CF_DNS_API_TOKEN: 'token-of-the-zone' })
  const hasIpv6 = Object.values(networkInterfaces()).some((each) => each?.some(({ family }) => family === 'IPv6'))
  t.same(warnings, [])
  t.match(configuration, { tls: { mode: 'acme' }, port: 443, host: hasIpv6 ? '::' : '0.0.0.0' })
  const { dns, ...acme } = configuration.acme ?? {}
  t.same(acme, {
    names: ['ai.example.com'],
    email: undefined,
    directories: [
      {
        name: 'letsencrypt',
        url: 'https://acme-v02.api.letsencrypt.org/directory',
        staging: 'https://acme-staging-v02.api.letsencrypt.org/directory',
      },
    ],
    certificates: undefined,
    externalAccount: undefined,
    profiles: [],
  })
  t.match(dns, { providers: ['cloudflare'], resolvers: [], apiUrl: undefined, policy: 'all', waitMs: 600_000 })
  t.equal(dns?.credentials.CF_DNS_API_TOKEN?.reveal(), 'token-of-the-zone')
  t.notMatch(JSON.stringify(configuration), 'token-of-the-zone')
})

test('without a domain everything stays as it is', async (t) => {
  const environment: Environment = { SOAKP_ACME_EAB_HMAC: 'a'.repeat(43), CF_DNS_API_TOKEN: 'token' }
  const { configuration } = readConfiguration(environment, '/srv/soakp')
  t.match(configuration, { tls: { mode: 'local' }, acme: undefined, port: 3033, host: '127.0.0.1' })
  t.same(environment, { CF_DNS_API_TOKEN: 'token' }, 'what is secret of SOAKP is gone, what is not its own stays')
})

test('names are lower-case A-labels without a last dot, doubles and what a wildcard covers', async (t) => {
  t.same(namesOf('AI.Example.com., ai.example.com ,,*.Example.COM.,bücher.example.com'), ['*.example.com'])
  t.same(namesOf('Bücher.example, *.bücher.example', { SOAKP_ACME_DIRECTORY: 'https://127.0.0.1:14000/dir' }), [
    'xn--bcher-kva.example',
    '*.xn--bcher-kva.example',
  ])
  t.match(read({ ...DOMAIN, SOAKP_DOMAIN: 'a.example.com,*.example.com' }).warnings, [/a\.example\.com beside the/])
  t.equal(namesOf(Array.from({ length: 100 }, (_, index) => `n${index}.example.com`).join())?.length, 100)
})

for (const [name, sentence] of [
  ['192.0.2.1', /address "192\.0\.2\.1".*proves names only/],
  ['[2001:db8::1]', /proves names only/],
  ['2001:db8::1', /proves names only/],
  ['0x7f.1', /proves names only/],
  ['localhost', /this machine only/],
  ['app.localhost.', /this machine only/],
  ['nas.local', /no public authority .*SOAKP_ACME_DIRECTORY/],
  ['vault.corp.internal', /no public authority/],
  ['printer.home.arpa', /no public authority/],
  ['com', /must hold names/],
  ['*.com', /must hold names/],
  ['*', /first label only/],
  ['a.*.example.com', /first label only/],
  ['a*.example.com', /first label only/],
  ['*.*.example.com', /first label only/],
  ['https://ai.example.com', /must hold names/],
  ['ai.example.com:443', /must hold names/],
  ['ai_.example.com', /must hold names/],
  ['-ai.example.com', /must hold names/],
  ['ai..example.com', /must hold names/],
  ['ai.example.com..', /must hold names/],
  ['ex%61mple.com', /must hold names/],
  ['ai.example.42', /must hold names/],
  [`${'a'.repeat(64)}.example.com`, /must hold names/],
  [`${'a.'.repeat(115)}example.com`, /must hold names/],
  [Array.from({ length: 101 }, (_, index) => `n${index}.example.com`).join(), /100 at most/],
] as const) {
  test(`SOAKP_DOMAIN=${name.slice(0, 40)} is refused: ${sentence.source}`, async (t) => {
    t.throws(() => namesOf(name), { code: 'SOAKP_CONFIGURATION', message: sentence })
  })
}

test('an authority of your own may speak for private names', async (t) => {
  t.same(namesOf('vault.corp.internal', { SOAKP_ACME_DIRECTORY: 'https://ca.corp.internal/acme/directory' }), [
    'vault.corp.internal',
  ])
  t.throws(() => namesOf('nas.local', { SOAKP_ACME_DIRECTORY: 'https://ca.corp.internal/dir,zerossl' }))
})

for (const environment of [
  { SOAKP_TLS: 'files' },
  { SOAKP_TLS: 'local' },
  { SOAKP_TLS: 'off' },
  { SOAKP_TLS: 'acme', SOAKP_DOMAIN: '' },
  { SOAKP_DNS: '' },
  { SOAKP_DNS: 'cloudflare,bind' },
  { SOAKP_DNS_API_URL: 'http://api.example.com' },
  { SOAKP_DNS_API_URL: 'https://user:password@api.example.com' },
  { SOAKP_DNS_API_URL: 'https://api.example.com/?a=b' },
  { SOAKP_DNS_API_URL: 'https://api.example.com', SOAKP_DNS: 'cloudflare,route53' },
  { SOAKP_DNS_API_URL: 'https://api.example.com', SOAKP_DNS: 'httpreq' },
  { SOAKP_DNS_RESOLVERS: '9.9.9.9:0' },
  { SOAKP_DNS_RESOLVERS: '9.9.9.9:65536' },
  { SOAKP_DNS_RESOLVERS: 'https://9.9.9.9' },
  { SOAKP_DNS_RESOLVERS: '[9.9.9.9]:53' },
  { SOAKP_DNS_RESOLVERS: 'dns.example.com' },
  { SOAKP_DNS_POLICY: 'some' },
  { SOAKP_DNS_WAIT_SECONDS: '0' },
  { SOAKP_DNS_DELAY_SECONDS: '-1' },
  { SOAKP_ACME_DIRECTORY: 'letsencrypt,buypass' },
  { SOAKP_ACME_DIRECTORY: 'http://ca.example.com/directory' },
  { SOAKP_ACME_DIRECTORY: 'https://a.com,https://b.com,https://c.com,https://d.com,https://e.com,https://f.com' },
  { SOAKP_ACME_CA_FILE: '/nowhere/ca.pem' },
  { SOAKP_ACME_EMAIL: 'alice' },
  { SOAKP_ACME_EMAIL: 'alice@example.com,bob@example.com' },
  { SOAKP_ACME_EAB_KID: 'kid' },
  { SOAKP_ACME_EAB_HMAC: 'a'.repeat(43) },
  { SOAKP_ACME_EAB_HMAC: 'no base64 of any kind', SOAKP_ACME_EAB_KID: 'kid' },
  { SOAKP_ACME_PROFILE: 'tls server' },
] as Environment[]) {
  const [[name, value] = ['', '']] = Object.entries(environment)
  test(`with a domain ${name}=${value} is refused with a sentence that names it`, async (t) => {
    t.throws(() => read({ ...DOMAIN, ...environment }), { code: 'SOAKP_CONFIGURATION', message: new RegExp(name) })
  })
}

test('a missing provider is told with all that there are, and no secret is repeated', async (t) => {
  t.throws(() => read({ SOAKP_DOMAIN: 'ai.example.com' }), { message: /SOAKP_DNS: .*rfc2136, cloudflare, route53/ })
  const hmac = 'secret text that is no key'
  t.throws(() => read({ ...DOMAIN, SOAKP_ACME_EAB_KID: 'kid', SOAKP_ACME_EAB_HMAC: hmac }), { message: /^[^]*gave/ })
  try {
    read({ ...DOMAIN, SOAKP_ACME_EAB_KID: 'kid', SOAKP_ACME_EAB_HMAC: hmac })
  } catch (error) {
    t.notMatch(String(error), hmac)
  }
})

test('everything that can be set is read', async (t) => {
  const folder = await temporaryFolder(t)
  await writeFile(join(folder, 'roots.pem'), 'PEM')
  const { configuration } = readConfiguration(
    {
      SOAKP_DOMAIN: 'ai.example.com',
      SOAKP_HOST: '127.0.0.1',
      SOAKP_PORT: '8443',
      SOAKP_TLS: 'acme',
      SOAKP_ACME_EMAIL: 'mailto:alice+soakp@example.com',
      SOAKP_ACME_DIRECTORY: 'google, https://localhost:14000/dir',
      SOAKP_ACME_CA_FILE: 'roots.pem',
      SOAKP_ACME_EAB_KID: 'kid-1',
      SOAKP_ACME_EAB_HMAC: 'ab+/'.repeat(8) + '=',
      SOAKP_ACME_PROFILE: 'shortlived, classic',
      SOAKP_DNS: 'rfc2136, Route53,rfc2136',
      SOAKP_DNS_RESOLVERS: '9.9.9.9, ::1, [::1]:5353, 192.0.2.1:0054',
      SOAKP_DNS_API_URL: 'http://127.0.0.1:8080/api/',
      SOAKP_DNS_POLICY: 'quorum',
      SOAKP_DNS_WAIT_SECONDS: '60',
      SOAKP_DNS_DELAY_SECONDS: '0',
    },
    folder,
  )
  t.match(configuration, { host: '127.0.0.1', port: 8443 })
  t.match(configuration.acme, {
    email: 'alice+soakp@example.com',
    directories: [{ name: 'google' }, { name: 'https://localhost:14000/dir', url: 'https://localhost:14000/dir' }],
    certificates: 'PEM',
    externalAccount: { kid: 'kid-1' },
    profiles: ['shortlived', 'classic'],
    dns: {
      providers: ['rfc2136', 'route53'],
      resolvers: ['9.9.9.9:53', '[::1]:53', '[::1]:5353', '192.0.2.1:54'],
      apiUrl: 'http://127.0.0.1:8080/api',
      policy: 'quorum',
      waitMs: 60_000,
      delayMs: 0,
    },
  })
  t.equal(configuration.acme?.externalAccount?.hmac.reveal(), 'ab-_'.repeat(8))
})

test('credentials come from the variable, its file or the credentials folder, for the named providers only', async (t) => {
  const folder = await temporaryFolder(t)
  await mkdir(join(folder, 'credentials'))
  await writeFile(join(folder, 'key'), 'of-the-file\n')
  await writeFile(join(folder, 'credentials', 'aws_secret_access_key'), 'of-the-folder\n')
  const environment: Environment = {
    SOAKP_DOMAIN: 'ai.example.com',
    SOAKP_DNS: 'rfc2136,route53',
    CREDENTIALS_DIRECTORY: join(folder, 'credentials'),
    RFC2136_NAMESERVER: ' 127.0.0.1:53 ',
    RFC2136_TSIG_SECRET: 'c2VjcmV0',
    RFC2136_TSIG_FILE: '/etc/tsig.key',
    AWS_ACCESS_KEY_ID_FILE: join(folder, 'key'),
    CF_DNS_API_TOKEN: 'of-another',
  }
  const { configuration, warnings } = readConfiguration(environment, '/srv/soakp')
  const credentials = Object.entries(configuration.acme?.dns.credentials ?? {})
  t.same(Object.fromEntries(credentials.map(([name, value]) => [name, value.reveal()])), {
    RFC2136_NAMESERVER: '127.0.0.1:53',
    RFC2136_TSIG_SECRET: 'c2VjcmV0',
    RFC2136_TSIG_FILE: '/etc/tsig.key',
    AWS_ACCESS_KEY_ID: 'of-the-file',
    AWS_SECRET_ACCESS_KEY: 'of-the-folder',
  })
  t.same(warnings, [])
  t.notOk('RFC2136_TSIG_SECRET' in environment, 'what is secret is gone')
  t.equal(environment['RFC2136_NAMESERVER'], ' 127.0.0.1:53 ')
  t.equal(environment['CF_DNS_API_TOKEN'], 'of-another', 'what nobody asked for is left alone')
  t.throws(() => read({ ...DOMAIN, CF_DNS_API_TOKEN_FILE: join(folder, 'none') }), { message: /CF_DNS_API_TOKEN/ })
})

test('the names of 2023 are understood', async (t) => {
  const { configuration, warnings } = read({
    CB_DOMAIN: 'example.com',
    CB_WILDCARD_DOMAIN: ',*.example.com,example.org',
    CB_DNS: 'dns-cloudflare',
  })
  t.match(configuration.acme, {
    names: ['example.com', '*.example.com', '*.example.org'],
    dns: { providers: ['cloudflare'] },
  })
  t.match(warnings, [/^CB_DOMAIN is the old name/, /^CB_WILDCARD_DOMAIN /, /^CB_DNS /])
  const local = read({ CB_DOMAIN: 'localhost', CB_WILDCARD_DOMAIN: '', CB_DNS: 'route53' }).configuration
  t.match(local, { acme: undefined, tls: { mode: 'local' } })
  t.same(namesOf('ai.example.com', { CB_WILDCARD_DOMAIN: 'example.com' }), ['ai.example.com'], 'the new name wins')
})

test('what does not listen gets no certificate, whatever the environment says', async (t) => {
  for (const configure of [configureLibrary, configurePlugin]) {
    t.match(configure({ ...DOMAIN, CB_DOMAIN: 'example.com' }, '/srv/soakp').configuration, {
      acme: undefined,
      tls: { mode: 'off' },
    })
  }
})

test('a server with a domain is called by the first name that is no wildcard', async (t) => {
  const addressOf = (names: string, port: number) => {
    const { configuration } = read({ ...DOMAIN, SOAKP_DOMAIN: names })
    return listeningAddress({ port, address: '::', family: 'IPv6' }, configuration)
  }
  t.equal(addressOf('*.example.com,ai.example.org', 443), 'https://ai.example.org')
  t.equal(addressOf('ai.example.org', 8443), 'https://ai.example.org:8443')
  t.equal(addressOf('*.example.com', 443), 'https://localhost:443')
})
