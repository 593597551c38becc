import { test } from 'tap'
import type { AcmeClient, AcmeDirectory } from '../../services/acme/index.ts'
import {
  askAuthorities,
  checkClock,
  checkDirectories,
  checkExternalAccount,
  checkProfiles,
} from '../../services/certificate-check/authorities.ts'
import type { AskedAuthority } from '../../services/certificate-check/authorities.ts'
import { judgeCaa } from '../../services/certificate-check/caa.ts'
import { checkPermissions } from '../../services/certificate-check/permissions.ts'
import { checkAliases, checkCredentials, checkZones, locateAll } from '../../services/certificate-check/places.ts'
import { checkRecord } from '../../services/certificate-check/record.ts'
import { checkServers } from '../../services/certificate-check/servers.ts'
import type { ChallengePlace } from '../../services/challenge/index.ts'
import type { ProbeStep } from '../../services/challenge/probe.ts'
import type { ServerSet } from '../../services/dns-wire/resolver-servers.ts'
import { DnsProviderError } from '../../services/dns-errors.ts'
import { SoakpError } from '../../services/errors.ts'
import { Secret } from '../../services/secret.ts'

const { signal } = new AbortController()
const LETSENCRYPT = { identities: ['letsencrypt.org'], account: 'https://ca.example/acct/1' }

const directory = (changes: Partial<AcmeDirectory> = {}): AcmeDirectory => ({
  url: 'https://ca.example/directory',
  termsOfService: 'https://ca.example/terms',
  website: undefined,
  caaIdentities: ['letsencrypt.org'],
  externalAccountRequired: false,
  profiles: {},
  hasRenewalInfo: true,
  clockOffsetMs: 200,
  ...changes,
})

const asked = (changes: Partial<AcmeDirectory> = {}, name = 'letsencrypt'): AskedAuthority => ({
  name,
  url: 'https://ca.example/directory',
  directory: directory(changes),
  error: undefined,
})

const silent: AskedAuthority = {
  name: 'zerossl',
  url: 'https://other.example',
  directory: undefined,
  error: new SoakpError(502, 'SOAKP_ACME_UNREACHABLE', 'other.example cannot be reached.'),
}

const place: ChallengePlace = {
  domain: 'ai.example.com',
  name: '_acme-challenge.ai.example.com',
  zone: { name: 'example.com' },
  provider: 'cloudflare',
  valuesPerName: 'many',
}

for (const [records, isWildcard, kind] of [
  ['', false, 'allowed'],
  ['iodef mailto:a@example.com', true, 'allowed'],
  ['issue letsencrypt.org', false, 'allowed'],
  ['issue letsencrypt.org', true, 'allowed'],
  ['issue LetsEncrypt.Org', false, 'allowed'],
  ['issue pki.goog|issue letsencrypt.org', false, 'allowed'],
  ['issue pki.goog', false, 'refused'],
  ['issue ;', false, 'refused'],
  ['issue  ', false, 'refused'],
  ['issue letsencrypt.org.evil.example', false, 'refused'],
  ['issue pki.goog|issuewild letsencrypt.org', false, 'refused'],
  ['issue pki.goog|issuewild letsencrypt.org', true, 'allowed'],
  ['issue letsencrypt.org|issuewild ;', true, 'refused'],
  ['issue letsencrypt.org|issuewild ;', false, 'allowed'],
  ['issuewild ;', false, 'allowed'],
  ['issuemail ;', false, 'allowed'],
  ['!tbs x', false, 'refused'],
  ['tbs x', false, 'allowed'],
  ['!issue letsencrypt.org', false, 'allowed'],
  ['issue letsencrypt.org; validationmethods=dns-01', false, 'allowed'],
  ['issue letsencrypt.org;validationmethods=http-01, dns-01', false, 'allowed'],
  ['issue letsencrypt.org; ValidationMethods = http-01,tls-alpn-01', false, 'refused'],
  ['issue letsencrypt.org; validationmethods=dns-012', false, 'refused'],
  ['issue letsencrypt.org; accounturi=https://ca.example/acct/1', false, 'allowed'],
  ['issue letsencrypt.org; accounturi=https://ca.example/acct/12', false, 'refused'],
  ['issue letsencrypt.org; accounturi=https://ca.example/acct/1; accounturi=https://b', false, 'refused'],
  ['issue letsencrypt.org; accounturi=https://b|issue letsencrypt.org', false, 'allowed'],
  ['issue letsencrypt.org; unknown=1', false, 'allowed'],
] as const) {
  test(`CAA "${records}" for a ${isWildcard ? 'wildcard' : 'name'}: ${kind}`, async (t) => {
    const properties = records
      .split('|')
      .filter((each) => each !== '')
      .map((each) => {
        const [, critical, tag = '', value = ''] = /^(!?)(\S+) (.*)$/.exec(each) ?? []
        return { isCritical: critical === '!', tag, value }
      })
    t.match(judgeCaa(properties, isWildcard, LETSENCRYPT), { kind })
  })
}

test('whether CAA lets in is not known before there is an account, or of an authority without a name', async (t) => {
  const bound = [{ isCritical: false, tag: 'issue', value: 'letsencrypt.org; accounturi=https://ca.example/acct/1' }]
  t.match(judgeCaa(bound, false, { ...LETSENCRYPT, account: undefined }), { kind: 'unknown', reason: /none there yet/ })
  t.match(judgeCaa(bound, false, { ...LETSENCRYPT, identities: [] }), { kind: 'unknown' })
  const nobody = [{ isCritical: false, tag: 'issue', value: ';' }]
  t.match(judgeCaa(nobody, false, { ...LETSENCRYPT, identities: [] }), { kind: 'refused', reason: 'let in nobody' })
})

test('CAA is climbed for each name, and judged for each authority', async (t) => {
  const permissions = (value: string | SoakpError, all: readonly AskedAuthority[] = [asked()]) => {
    const domains: string[] = []
    const caaOf = async (domain: string) => {
      domains.push(domain)
      if (typeof value !== 'string') throw value
      return { name: 'example.com', records: [{ isCritical: false, tag: 'issue', value }] }
    }
    const options = { names: ['ai.example.com', '*.example.com'], check: { caaOf }, accountOf: async () => undefined }
    return { domains, results: checkPermissions({ ...options, asked: all }, signal) }
  }
  t.match(await permissions('letsencrypt.org').results, [{ status: 'ok' }])
  const refused = permissions('pki.goog')
  t.match(await refused.results, [
    {
      status: 'fault',
      message: 'The CAA records of example.com, which hold for ai.example.com, let in pki.goog only.',
      remedy: /Add `example\.com\. CAA 0 issue "letsencrypt\.org"`/,
    },
    { status: 'fault', message: /hold for \*\.example\.com/, remedy: /CAA 0 issuewild "letsencrypt\.org"/ },
  ])
  t.same(refused.domains, ['ai.example.com', 'example.com'])
  const google = asked({ caaIdentities: ['pki.goog'] }, 'google')
  t.match(await permissions('pki.goog', [asked(), google]).results, [{ status: 'warning' }, { status: 'warning' }])
  t.match(await permissions('pki.goog', [silent]).results, [{ status: 'skipped' }])
  const lame = new SoakpError(502, 'SOAKP_DNS_LAME', 'No server of `example.com` answers for it: ns1 answers SERVFAIL.')
  t.match(await permissions(lame).results, [{ status: 'fault', message: /cannot be read.*SERVFAIL/ }, {}])
  const closed = new SoakpError(502, 'SOAKP_DNS_UNREACHABLE', 'No server can be reached.')
  t.match(await permissions(closed).results, [{ status: 'skipped' }, { status: 'skipped' }])
})

test('authorities: one of several that is silent is a warning, all of them a fault', async (t) => {
  t.match(checkDirectories([asked(), silent]), [
    { status: 'ok', message: /agrees to its terms/ },
    { status: 'warning' },
  ])
  t.match(checkDirectories([silent]), [
    { status: 'fault', message: /cannot be reached/, remedy: /SOAKP_ACME_DIRECTORY/ },
  ])
  let closed = 0
  const client = { readDirectory: async () => directory(), close: async () => void (closed += 1) }
  const directories = [{ name: 'letsencrypt', url: 'https://ca.example/directory' }]
  const answers = await askAuthorities({ directories }, () => client as unknown as AcmeClient, signal)
  t.match(answers, [{ name: 'letsencrypt', directory: { hasRenewalInfo: true } }])
  t.equal(closed, 1)
})

test('an external account, a profile and the clock are checked by the directory', async (t) => {
  const externalAccount = { kid: 'kid', hmac: new Secret('hmac') }
  const asking = asked({ externalAccountRequired: true }, 'zerossl')
  t.match(checkExternalAccount([asked()], { externalAccount: undefined }), { status: 'ok' })
  t.match(checkExternalAccount([asking], { externalAccount }), { status: 'ok' })
  const missing = checkExternalAccount([asking], { externalAccount: undefined })
  t.match(missing, { status: 'fault', message: /^zerossl/, remedy: /SOAKP_ACME_EAB_KID and SOAKP_ACME_EAB_HMAC/ })
  t.match(checkExternalAccount([asking, asked()], { externalAccount: undefined }), { status: 'warning' })

  const offering = asked({ profiles: { classic: '', tlsserver: '' } })
  t.match(checkProfiles([offering], { profiles: ['shortlived', 'tlsserver'] }), { message: 'letsencrypt: tlsserver.' })
  const none = checkProfiles([offering], { profiles: ['short'] })
  t.match(none, {
    status: 'warning',
    message: /no profile short, only classic, tlsserver/,
    remedy: /SOAKP_ACME_PROFILE/,
  })

  t.match(checkClock([asked({ clockOffsetMs: -59_000 })]), { status: 'ok' })
  t.match(checkClock([asked({ clockOffsetMs: 61_000 })]), { status: 'warning', message: /61 s behind/ })
  t.match(checkClock([asked({ clockOffsetMs: -301_000 })]), { status: 'fault', message: /301 s ahead of/ })
  t.match(checkClock([silent]), { status: 'ok', message: /No authority told/ })
})

test('credentials, zones and aliases: what is wrong names the domain and what to do', async (t) => {
  const error = new DnsProviderError(
    'cloudflare',
    'credentials',
    'Cloudflare cannot be used: CF_DNS_API_TOKEN is missing.',
  )
  t.match(checkCredentials([{ name: 'cloudflare', error }]), [
    { status: 'fault', message: /CF_DNS_API_TOKEN is missing/, remedy: /`soakp dns set`/ },
  ])
  const wrong = new SoakpError(502, 'SOAKP_DNS_ZONE', 'The account holds no such zone.')
  const locate = async (domain: string) => {
    if (domain === 'b.example.org') throw wrong
    return domain === 'c.example.com'
      ? {
          ...place,
          domain,
          name: 'c.acme.example.net',
          zone: { name: 'acme.example.net' },
          warnings: ['By a wildcard.'],
        }
      : { ...place, domain, name: `_acme-challenge.${domain}` }
  }
  const located = await locateAll(
    ['a.example.com', 'b.example.org', 'c.example.com', 'd.example.com'],
    { locate },
    signal,
  )
  t.match(checkZones(located), [
    { status: 'fault', message: 'b.example.org: The account holds no such zone.', remedy: /SOAKP_DNS/ },
    { status: 'ok', message: 'a.example.com, d.example.com are proved in the zone example.com at cloudflare.' },
    { status: 'ok', message: 'c.example.com is proved in the zone acme.example.net at cloudflare.' },
  ])
  t.match(checkAliases(located), [
    { status: 'warning', message: 'By a wildcard.' },
    { status: 'ok', message: /^_acme-challenge\.c\.example\.com leads to c\.acme\.example\.net/ },
  ])
  t.same(checkZones(await locateAll([], { locate }, signal)), [])
})

test('name servers that do not answer are a fault where all must, a warning where more than half do', async (t) => {
  const server = (name: string, state: 'authoritative' | 'lame' | 'silent') => ({ name, address: '192.0.2.1', state })
  const check = async (set: Partial<ServerSet> | SoakpError, policy: 'all' | 'quorum' = 'all') => {
    const serversOf = async () => {
      if (set instanceof SoakpError) throw set
      return { zone: 'example.com', servers: [], warnings: [], ...set }
    }
    return checkServers(place, { serversOf }, { policy }, signal)
  }
  const [one, two, lame, mute] = [
    server('ns1', 'authoritative'),
    server('ns2', 'authoritative'),
    server('ns3', 'lame'),
    server('ns4', 'silent'),
  ]
  t.match(await check({ servers: [one, two] }), [{ status: 'ok', message: /2 addresses/ }])
  const servers = [one, two, lame]
  const warnings = ['ns3 (192.0.2.1) answers REFUSED.', 'ns5 is delegated to, but `example.com` does not name it.']
  const found = await check({ servers, warnings })
  t.match(found, [
    { status: 'fault', message: /ns3 \(192\.0\.2\.1\) is not authoritative/, remedy: /SOAKP_DNS_POLICY=quorum/ },
    { status: 'warning', message: /^ns5 is delegated to/, remedy: /registrar/ },
  ])
  t.equal(found.length, 2, 'nothing is told twice')
  t.match(await check({ servers }, 'quorum'), [{ status: 'warning' }])
  t.match(await check({ servers: [one, lame, mute] }, 'quorum'), [{ status: 'fault' }])
  t.match(await check({ servers: [mute] }), [{ status: 'warning', remedy: /Open port 53/ }])
  t.match(await check(new SoakpError(502, 'SOAKP_DNS_UNREACHABLE', 'None answers.')), [
    { status: 'warning', remedy: /port 53/ },
  ])
  t.match(await check(new SoakpError(502, 'SOAKP_DNS_LAME', 'None is right.')), [
    { status: 'fault', remedy: /registrar/ },
  ])
})

test('a record that cannot be written, seen or removed is a fault', async (t) => {
  const check = async (
    failing: Partial<Record<ProbeStep['step'], Error>>,
    by: 'authoritative' | 'delay' = 'authoritative',
  ) => {
    const all = ['write', 'read', 'serve', 'remove'] as const
    const steps = all.map((step) => ({ step, durationMs: 1, error: failing[step] }))
    const served = { by, waitedMs: 1_200, servers: [], warnings: ['Port 53 seems closed.'] }
    return checkRecord(place, { probe: async () => ({ name: '_soakp-check-1.example.com', steps, served }) }, signal)
  }
  t.match(await check({}), [{ status: 'ok', message: /example\.com, and all name servers had it after 1\.2 s/ }])
  t.match(await check({}, 'delay'), [{ status: 'ok' }, { status: 'warning', message: 'Port 53 seems closed.' }])
  const forbidden = new DnsProviderError('cloudflare', 'credentials', 'Cloudflare refused. Give the token DNS:Edit.')
  const unwritten = await check({ write: forbidden, remove: forbidden })
  t.match(unwritten, [
    { status: 'fault', message: /could not be written: Cloudflare refused\./, remedy: 'Give the token DNS:Edit.' },
  ])
  t.equal(unwritten.length, 1)
  const late = new SoakpError(502, 'SOAKP_DNS_NOT_SERVED', 'After 60 s ns1 has it not.')
  t.match(await check({ serve: late, remove: forbidden }), [
    { status: 'fault', message: /seen at all name servers: After 60 s/, remedy: /SOAKP_DNS_WAIT_SECONDS/ },
    { status: 'fault', message: /could not be removed/ },
  ])
})
