import { test } from 'tap'
import { createChallengeCheck } from '../../services/challenge/check.ts'
import { createChallenger } from '../../services/challenge/challenger.ts'
import { createJournal } from '../../services/challenge/journal.ts'
import type { ChallengerOptions } from '../../services/challenge/tools.ts'
import { DnsProviderError } from '../../services/dns-errors.ts'
import type { DnsProvider, ProviderOptions } from '../../services/dns/index.ts'
import { Secret } from '../../services/secret.ts'
import {
  challengePlace,
  dnsConfiguration,
  memorySecrets,
  opening,
  startSmallInternet,
  testClock,
} from '../support/challenge.ts'
import { createSampleAccount, sampleProviders } from '../support/sample-dns-providers.ts'
import type { SampleAccount } from '../support/sample-dns-providers.ts'

const signal = AbortSignal.timeout(60_000)
const place = challengePlace
const NAME = place.name

function sampleAccount(): SampleAccount {
  return createSampleAccount({
    'example.test': [
      [NAME, 'of another client', 300],
      ['www.example.test', 'x', 60],
    ],
  })
}

function optionsFor(account: SampleAccount, kind: keyof typeof sampleProviders = 'append'): ChallengerOptions {
  const open = opening({ cloudflare: sampleProviders[kind](account) })
  return { configuration: dnsConfiguration(), secrets: memorySecrets(), clock: testClock(), open }
}

test('a journal keeps every note of many made at once, each name and value once', async (t) => {
  const secrets = memorySecrets()
  const journal = createJournal(secrets)
  const entries = Array.from({ length: 20 }, (_, index) => ({ place, value: `v${index}`, at: index }))
  await Promise.all([...entries, ...entries].map(async (entry) => journal.add(entry)))
  t.same(await createJournal(secrets).list(), entries)
  await Promise.all(entries.slice(1).map(async (entry) => journal.forget(entry)))
  await journal.forget({ place: { ...place, name: 'elsewhere' }, value: 'v0' })
  t.same(await journal.list(), entries.slice(0, 1))
})

test('a journal that fails once goes on, and tells who noted then', async (t) => {
  const secrets = memorySecrets()
  let failures = 1
  const journal = createJournal({
    find: secrets.find,
    replace: async (id, value) => {
      if (failures-- > 0) throw new Error('disk full')
      return secrets.replace(id, value)
    },
  })
  await t.rejects(journal.add({ place, value: 'a', at: 1 }), { message: 'disk full' })
  await journal.add({ place, value: 'b', at: 2 })
  t.match(await journal.list(), [{ value: 'b' }])
})

for (const kind of ['append', 'replace', 'whole zone'] as const) {
  test(`${kind}: wherever SOAKP is killed, the next start removes what it wrote and nothing else`, async (t) => {
    for (const fatal of ['read 1', 'before-write 1', 'after-write 1', 'before-write 2', 'after-write 2'] as const) {
      const account = sampleAccount()
      const before = account.others()
      const options = optionsFor(account, kind)
      const seen = new Map<string, number>()
      account.step = async (moment) => {
        const count = (seen.get(moment) ?? 0) + 1
        seen.set(moment, count)
        if (moment === 'before-write' && count === 1) {
          t.match(await createJournal(options.secrets).list(), [{ value: 'ours', place }], 'noted before it is written')
        }
        if (`${moment} ${count}` === fatal) throw new Error('killed')
      }
      const killed = createChallenger(options)
      try {
        await killed.write(place, 'ours', signal)
        await killed.remove(place, 'ours', signal)
      } catch (error) {
        t.match(error, { message: 'killed' })
      }
      account.step = () => undefined
      const next = createChallenger(options)
      const { failed } = await next.sweep([], signal)
      t.same(failed, [])
      t.same(account.others(), before, `${fatal}: nothing of ours is left`)
      t.same(await createJournal(options.secrets).list(), [], `${fatal}: and no note`)
    }
  })
}

test('a sweep leaves what is kept, and goes on after what cannot be removed', async (t) => {
  const account = sampleAccount()
  const options = optionsFor(account)
  const challenger = createChallenger(options)
  for (const value of ['a', 'b', 'c', 'd']) await challenger.write(place, value, signal)
  await createJournal(options.secrets).add({ place: { ...place, provider: 'hetzner' }, value: 'e', at: 1 })
  account.step = (moment) => {
    const isA = moment === 'before-write' && account.zones.get('example.test')?.some(({ value }) => value === 'a')
    if (isA) throw new DnsProviderError('cloudflare', 'credentials', 'The token is wrong.')
  }
  const first = await challenger.sweep(['b'], signal)
  t.same(first.removed, [])
  t.match(first.failed, [
    { entry: { value: 'a' }, error: { code: 'SOAKP_DNS_CREDENTIALS' } },
    { entry: { value: 'c' } },
    { entry: { value: 'd' } },
    { entry: { value: 'e' }, error: { code: 'SOAKP_DNS_PROVIDER', message: /`hetzner` is not configured any more/ } },
  ])
  account.step = () => undefined
  const second = await challenger.sweep(['b'], signal)
  t.same(
    second.removed.map(({ value }) => value),
    ['a', 'c', 'd'],
  )
  t.same(
    (await createJournal(options.secrets).list()).map(({ value }) => value),
    ['b', 'e'],
  )
  t.match(
    account.others().filter((line) => line.includes('"b"')),
    { length: 1 },
  )
})

test('credentials are those of the vault under those of the environment, and a change is seen', async (t) => {
  const secrets = memorySecrets()
  const opened: ProviderOptions['credentials'][] = []
  const closed: string[] = []
  const provider: DnsProvider = { ...sampleProviders.append(sampleAccount()), close: async () => void closed.push('x') }
  const challenger = createChallenger({
    configuration: dnsConfiguration({ credentials: { CF_DNS_API_TOKEN: new Secret('of the environment') } }),
    secrets,
    clock: testClock(),
    open: async (name, { credentials }) => {
      opened.push(credentials)
      if (credentials.AWS_ACCESS_KEY_ID === undefined) throw new DnsProviderError(name, 'credentials', 'No key.')
      return provider
    },
  })
  await t.rejects(challenger.write(place, 'a', signal), { code: 'SOAKP_DNS_CREDENTIALS' })
  await t.rejects(challenger.write(place, 'a', signal), { code: 'SOAKP_DNS_CREDENTIALS' })
  await secrets.replace('dns-credentials', { CF_DNS_API_TOKEN: 'of the vault', AWS_ACCESS_KEY_ID: 'one' })
  await challenger.write(place, 'a', signal)
  await challenger.write(place, 'b', signal)
  t.same(opened.length, 3, 'opened again after each failure, and then once')
  t.equal(opened[2]?.CF_DNS_API_TOKEN?.reveal(), 'of the environment')
  t.equal(opened[2]?.AWS_ACCESS_KEY_ID?.reveal(), 'one')
  await secrets.replace('dns-credentials', { AWS_ACCESS_KEY_ID: 'two', EXEC_PATH: '/bin/sh', RFC2136_PORT: '22' })
  await challenger.remove(place, 'a', signal)
  t.equal(opened[3]?.AWS_ACCESS_KEY_ID?.reveal(), 'two')
  t.same(Object.keys(opened[3] ?? {}), ['AWS_ACCESS_KEY_ID', 'CF_DNS_API_TOKEN'], 'no program, no address')
  t.same(closed, ['x'])
  await challenger.close()
  await challenger.close()
  t.same(closed, ['x', 'x'])
})

test('a probe writes, reads, waits and removes, and tells which of it failed', async (t) => {
  const { zoneServers, resolver } = await startSmallInternet(t)
  const account = createSampleAccount({ 'example.test': [['www.example.test', 'x', 60]] })
  const before = account.others()
  const options = { ...optionsFor(account), resolver }
  const publish = () => {
    const lines = (account.zones.get('example.test') ?? []).map(({ name, value }) => `${name}. TXT ${value}`)
    for (const server of zoneServers) {
      const others = (server.zones['example.test'] ?? []).filter((line) => !line.includes(' TXT '))
      server.zones = { 'example.test': [...others, ...lines] }
    }
  }
  account.step = publish
  const check = createChallengeCheck(options)
  const there = await check.locate('ai.example.test', signal)
  const good = await check.probe(there, signal)
  t.equal(good.name, there.name, 'credentials are often for this name alone')
  const single = await check.probe({ ...there, valuesPerName: 'one' }, signal)
  t.match(single.name, /^_soakp-check-[\da-f]+\.example\.test$/, 'a challenge that has one value is not disturbed')
  t.same(
    good.steps.map(({ step, error }) => [step, error]),
    [
      ['write', undefined],
      ['read', undefined],
      ['serve', undefined],
      ['remove', undefined],
    ],
  )
  t.match(good.served, { by: 'authoritative', servers: { length: 3 } })
  t.same(account.others(), before)
  account.step = (moment) => {
    publish()
    if (moment === 'before-write') throw new DnsProviderError('cloudflare', 'refused', 'Not allowed.')
  }
  const refused = await check.probe(there, signal)
  t.match(refused.steps, [{ step: 'write', error: { code: 'SOAKP_DNS_REFUSED' } }, { step: 'remove' }])
  t.equal(refused.served, undefined)
  account.step = () => undefined
  const unserved = await check.probe(there, signal)
  t.match(unserved.steps[2], { step: 'serve', error: { code: 'SOAKP_DNS_NOT_SERVED' } })
  t.same(account.others(), before)
  const left = await createChallenger(options).sweep([], signal)
  t.match(left.removed, [{ place: { name: refused.name } }], 'what a probe could not remove the next sweep removes')
  t.same(await createJournal(options.secrets, 'dns-journal-check').list(), [])
})
