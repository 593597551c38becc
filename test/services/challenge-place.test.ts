import { test } from 'tap'
import type { Test } from 'tap'
import { createChallengeCheck } from '../../services/challenge/check.ts'
import { createChallenger } from '../../services/challenge/challenger.ts'
import { DnsProviderError } from '../../services/dns-errors.ts'
import type { DnsProvider, ProviderName } from '../../services/dns/index.ts'
import { dnsConfiguration, memorySecrets, opening, startSmallInternet, testClock } from '../support/challenge.ts'
import type { SmallInternet } from '../support/challenge.ts'
import { createSampleAccount, sampleProviders } from '../support/sample-dns-providers.ts'

const signal = AbortSignal.timeout(60_000)

function holding(...zones: readonly string[]): DnsProvider {
  return sampleProviders.append(createSampleAccount(Object.fromEntries(zones.map((zone) => [zone, []]))))
}

/** A provider that cannot tell its zones. */
function tellingNothing(): DnsProvider {
  const provider = { ...holding('example.test') }
  delete provider.findZone
  return provider
}

function challengerOf({ resolver }: SmallInternet, providers: Partial<Record<ProviderName, DnsProvider>>) {
  return createChallenger({
    configuration: dnsConfiguration({ providers: Object.keys(providers) as ProviderName[] }),
    secrets: memorySecrets(),
    clock: testClock(),
    resolver,
    open: opening(providers),
  })
}

const both = { cloudflare: holding('example.test', 'test.example.test'), route53: holding('acme.test') }

/** `acme.test` beside `example.test`, on a server of its own. */
async function withAcme(t: Test, records: readonly string[], acmeRecords: readonly string[] = []) {
  const internet = await startSmallInternet(t, records)
  const server = await internet.servers.start({ 'acme.test': ['@ NS ns.acme.test', ...acmeRecords] })
  const { top } = internet
  top.zones = { test: [...(top.zones['test'] ?? []), 'acme NS ns.acme.test', `ns.acme A ${server.address}`] }
  return internet
}

test('a challenge goes to the name below its domain, in the zone that DNS and the account agree on', async (t) => {
  const internet = await startSmallInternet(t)
  const challenger = challengerOf(internet, both)
  t.same(await challenger.locate('ai.example.test', signal), {
    domain: 'ai.example.test',
    name: '_acme-challenge.ai.example.test',
    zone: { name: 'example.test', id: 'id-of-example.test' },
    provider: 'cloudflare',
    valuesPerName: 'many',
  })
  t.match(
    await challenger.locate('test.example.test', signal),
    { zone: { name: 'example.test' } },
    'a longer zone of the account that is not delegated to is not taken',
  )
  t.notOk(
    internet.recursive.queries.some((query) => query.includes('example.test')),
    'no resolver hears of it',
  )
})

test('aliases are followed, also to a zone of another provider', async (t) => {
  const internet = await withAcme(
    t,
    ['_acme-challenge.ai CNAME one.example.test', 'one CNAME abc.acme.test'],
    ['abc TXT other'],
  )
  t.match(await challengerOf(internet, both).locate('ai.example.test', signal), {
    domain: 'ai.example.test',
    name: 'abc.acme.test',
    zone: { name: 'acme.test' },
    provider: 'route53',
  })
  t.notOk(internet.recursive.queries.some((query) => query.startsWith('abc.')))
})

test('aliases in a circle, and too many of them, end with what they are', async (t) => {
  const chain = Array.from({ length: 9 }, (_, index) => `c${index} CNAME c${index + 1}.example.test`)
  const internet = await startSmallInternet(t, [
    '_acme-challenge.loop CNAME a.example.test',
    'a CNAME b.example.test',
    'b CNAME a.example.test',
    '_acme-challenge.long CNAME c0.example.test',
    '_acme-challenge.eight CNAME c2.example.test',
    ...chain,
  ])
  const challenger = challengerOf(internet, both)
  await t.rejects(challenger.locate('loop.example.test', signal), {
    code: 'SOAKP_DNS_CNAME',
    message: /in a circle: _acme-challenge.loop.example.test → a.example.test → b.example.test → a.example.test/,
  })
  await t.rejects(challenger.locate('long.example.test', signal), {
    code: 'SOAKP_DNS_CNAME',
    message: /over 8 aliases/,
  })
  t.match(await challenger.locate('eight.example.test', signal), { name: 'c9.example.test' })
})

test('an alias to what would be an option or a command to a program is not followed', async (t) => {
  const targets = ['$(id).acme.test', '-rf.acme.test', 'a;b.acme.test', '`id`.acme.test']
  const internet = await withAcme(
    t,
    targets.map((target, index) => `_acme-challenge.n${index} CNAME ${target}`),
  )
  const challenger = challengerOf(internet, { exec: tellingNothing() })
  for (const [index, target] of targets.entries()) {
    const error = { code: 'SOAKP_DNS_CNAME', message: `→ ${target}. Correct the CNAME records.` }
    await t.rejects(challenger.locate(`n${index}.example.test`, signal), error)
  }
})

test('an alias that only a wildcard makes is not followed, unless only there can be written', async (t) => {
  const internet = await withAcme(t, [
    '*.wild CNAME www.acme.test',
    '*.both CNAME www.acme.test',
    '_acme-challenge.both CNAME www.acme.test',
  ])
  const place = await challengerOf(internet, both).locate('wild.example.test', signal)
  t.match(place, { name: '_acme-challenge.wild.example.test', provider: 'cloudflare' })
  t.match(place.warnings, [/is an alias of `www.acme.test` only by a wildcard/])
  const deeper = await challengerOf(internet, both).locate('a.b.wild.example.test', signal)
  t.match(deeper, { name: '_acme-challenge.a.b.wild.example.test', provider: 'cloudflare' })
  const own = await challengerOf(internet, both).locate('both.example.test', signal)
  t.match(own, { name: 'www.acme.test', provider: 'route53' }, 'an alias that stands beside the same wildcard is one')
  const away = await challengerOf(internet, { route53: both.route53 }).locate('wild.example.test', signal)
  t.match(away, { name: 'www.acme.test', provider: 'route53' })
})

test('a provider that cannot tell its zones takes what no other claims', async (t) => {
  const internet = await startSmallInternet(t)
  const challenger = challengerOf(internet, { exec: tellingNothing(), route53: holding('acme.test') })
  t.match(await challenger.locate('ai.example.test', signal), { provider: 'exec', zone: { name: 'example.test' } })
  const claimed = challengerOf(internet, { exec: tellingNothing(), cloudflare: holding('example.test') })
  t.match(await claimed.locate('ai.example.test', signal), { provider: 'cloudflare' })
})

test('a zone that nobody holds, or that is delegated away, is told with both names', async (t) => {
  const internet = await startSmallInternet(t)
  for (const server of internet.zoneServers) server.zones = { ...server.zones, 'sub.example.test': [] }
  await t.rejects(challengerOf(internet, { route53: both.route53 }).locate('ai.example.test', signal), {
    code: 'SOAKP_DNS_ZONE',
    message: /is in the zone `example.test`, which no account of route53 holds/,
  })
  await t.rejects(challengerOf(internet, { cloudflare: holding('example.test') }).locate('sub.example.test', signal), {
    code: 'SOAKP_DNS_ZONE',
    message: /holds the zone `example.test`, but by its name servers .* is in the zone `sub.example.test`/,
  })
  await t.rejects(challengerOf(internet, { cloudflare: holding('nothere.test') }).locate('nothere.test', signal), {
    code: 'SOAKP_DNS_ZONE',
    message: /holds the zone `nothere.test`, but by its name servers .* is in the zone `test`/,
  })
})

test('a name whose domain is not delegated, as after a typing error, is told so', async (t) => {
  const internet = await startSmallInternet(t)
  await t.rejects(challengerOf(internet, { route53: both.route53 }).locate('ai.exmaple.test', signal), {
    code: 'SOAKP_DNS_ZONE',
    message:
      '`exmaple.test` is not delegated: there are no name servers of it. Look whether the name is spelled right, and set its name servers at its registrar.',
  })
})

test('a provider that cannot be asked is only in the way where no other holds the zone', async (t) => {
  const internet = await startSmallInternet(t)
  const broken: DnsProvider = {
    ...holding(),
    findZone: async () => {
      throw new DnsProviderError('route53', 'credentials', 'The key is wrong.')
    },
  }
  const one = challengerOf(internet, { route53: broken, cloudflare: holding('example.test') })
  t.match(await one.locate('ai.example.test', signal), { provider: 'cloudflare' })
  const other = challengerOf(internet, { route53: broken, cloudflare: holding('acme.test') })
  await t.rejects(other.locate('ai.example.test', signal), { code: 'SOAKP_DNS_CREDENTIALS' })
})

test('where no authoritative server can be asked, the account says which zone it is', async (t) => {
  const internet = await startSmallInternet(t)
  internet.top.behaviour = 'silent'
  const place = await challengerOf(internet, both).locate('ai.example.test', signal)
  t.match(place, { provider: 'cloudflare', zone: { name: 'example.test' } })
  const blind = await challengerOf(internet, { exec: tellingNothing() }).locate('ai.example.test', signal)
  t.match(blind, { provider: 'exec', name: '_acme-challenge.ai.example.test' })
})

test('CAA records are those of the name or of the nearest above it, aliases followed', async (t) => {
  const internet = await withAcme(
    t,
    ['@ CAA issue letsencrypt.org', 'b CAA issue ;', 'c CNAME x.acme.test', 'deep.b A 192.0.2.1'],
    ['x CAA issue pki.goog'],
  )
  const { resolver } = internet
  const options = { configuration: dnsConfiguration(), secrets: memorySecrets(), clock: testClock(), resolver }
  const check = createChallengeCheck({ ...options, open: opening(both) })
  const record = (name: string, value: string) => ({ name, records: [{ isCritical: false, tag: 'issue', value }] })
  t.same(await check.caaOf('a.example.test', signal), record('example.test', 'letsencrypt.org'))
  t.same(await check.caaOf('deep.b.example.test', signal), record('b.example.test', ';'))
  t.same(await check.caaOf('c.example.test', signal), record('c.example.test', 'pki.goog'))
  t.equal(await check.caaOf('y.acme.test', signal), undefined)
  t.match(await check.serversOf('a.example.test', signal), { zone: 'example.test', servers: { length: 3 } })
  t.match(await check.providers(), [{ name: 'cloudflare' }])
  await check.close()
})
