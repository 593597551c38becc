import { test } from 'tap'
import { createTxtWriter } from '../../services/challenge/txt-writer.ts'
import { DnsProviderError } from '../../services/dns-errors.ts'
import type { DnsFaultKind } from '../../services/dns-errors.ts'
import { testClock } from '../support/challenge.ts'
import { createSampleAccount, sampleProviders } from '../support/sample-dns-providers.ts'

const NAME = '_acme-challenge.ai.example.com'
const place = { name: NAME, zone: { name: 'example.com' }, provider: 'cloudflare' }
const signal = AbortSignal.timeout(60_000)

function sample(kind: keyof typeof sampleProviders, hasForeign = kind !== 'single') {
  const account = createSampleAccount({
    'example.com': [
      ['example.com', 'v=spf1 -all', 300],
      ['ai.example.com', ' "quoted"\\ and \u00fc ', 77],
      ...(hasForeign ? ([[NAME, 'of another client', 1234]] as const) : []),
    ],
  })
  const clock = testClock()
  return { account, clock, provider: sampleProviders[kind](account), writer: createTxtWriter(clock) }
}

const fault = (kind: DnsFaultKind, retryAfterMs?: number) =>
  new DnsProviderError('sample', kind, kind, { retryAfterMs })
const kinds = Object.keys(sampleProviders) as (keyof typeof sampleProviders)[]
const values = (account: ReturnType<typeof sample>['account']) =>
  (account.zones.get('example.com') ?? []).filter(({ name }) => name === NAME).map(({ value }) => value)

for (const kind of kinds) {
  test(`${kind}: a value is put beside the others, also twice, and taken without them`, async (t) => {
    const { account, provider, writer } = sample(kind)
    const before = account.others()
    await writer.put(provider, place, 'ours', signal)
    await writer.put(provider, place, 'ours', signal)
    t.same(
      values(account).filter((value) => value === 'ours'),
      ['ours'],
    )
    t.same(account.others(['ours']), before)
    t.ok((await writer.list(provider, place, signal))?.includes('ours'))
    await writer.take(provider, place, 'ours', signal)
    await writer.take(provider, place, 'ours', signal)
    t.same(account.others(), before)
  })

  test(`${kind}: a failure after the write was made is found out by reading and not repeated`, async (t) => {
    const { account, clock, provider, writer } = sample(kind)
    const before = account.others()
    let failures = 1
    let writes = 0
    account.step = (moment) => {
      if (moment === 'before-write') writes += 1
      if (moment === 'after-write' && failures-- > 0) throw fault('unreachable')
    }
    await writer.put(provider, place, 'ours', signal)
    t.equal(writes, 1)
    failures = 1
    await writer.take(provider, place, 'ours', signal)
    t.same(account.others(), before)
    t.equal(writes, 2, 'each write was made once')
    t.equal(clock.sleeps.length, 2)
  })

  test(`${kind}: limits and missing answers are waited out, other faults are thrown at once`, async (t) => {
    const { account, clock, provider, writer } = sample(kind)
    const faults = [fault('limit', 7000), fault('unreachable')]
    account.step = (moment) => {
      const [next] = moment === 'before-write' ? faults.splice(0, 1) : []
      if (next !== undefined) throw next
    }
    await writer.put(provider, place, 'ours', signal)
    t.ok(values(account).includes('ours'))
    t.equal(clock.sleeps[0], 7000, 'as long as the provider asks for')
    faults.push(fault('credentials'), fault('refused'))
    for (const code of ['SOAKP_DNS_CREDENTIALS', 'SOAKP_DNS_REFUSED']) {
      await t.rejects(writer.take(provider, place, 'ours', signal), { code })
    }
    faults.push(fault('limit', 3_600_000))
    await t.rejects(writer.take(provider, place, 'ours', signal), { code: 'SOAKP_DNS_LIMIT' }, 'an hour is too long')
    t.equal(clock.sleeps.length, 2)
    account.step = () => {
      throw fault('unreachable')
    }
    await t.rejects(writer.take(provider, place, 'ours', signal), { code: 'SOAKP_DNS_UNREACHABLE' }, 'it ends')
  })

  test(`${kind}: an abort ends a write at once, also one that waits for its turn`, async (t) => {
    const { account, provider, writer } = sample(kind)
    const controller = new AbortController()
    const held = Promise.withResolvers<void>()
    account.step = async () => held.promise
    const first = writer.put(provider, place, 'one', signal)
    const second = writer.put(provider, place, 'two', controller.signal)
    controller.abort(new Error('stop'))
    await t.rejects(second, { message: 'stop' })
    const third = writer.put(provider, place, 'one', signal)
    held.resolve()
    await Promise.all([first, third])
    t.ok(values(account).includes('one'))
  })
}

for (const kind of ['replace', 'whole zone'] as const) {
  test(`${kind}: twenty values written at once all stand, whatever name they are at`, async (t) => {
    const { account, provider, writer } = sample(kind)
    const before = account.others()
    const ours = Array.from({ length: 20 }, (_, index) => `ours ${index}`)
    const at = (index: number) =>
      index % 2 === 0 ? place : { ...place, name: `_acme-challenge.b${index}.example.com` }
    await Promise.all(ours.map(async (value, index) => writer.put(provider, at(index), value, signal)))
    t.equal(account.others().length, before.length + 20)
    t.same(account.others(ours), before)
    await Promise.all(ours.map(async (value, index) => writer.take(provider, at(index), value, signal)))
    t.same(account.others(), before)
  })

  test(`${kind}: who writes between our reading and our writing loses nothing`, async (t) => {
    const { account, provider, writer } = sample(kind)
    let races = 3
    account.step = (moment) => {
      if (moment !== 'before-write' || races-- <= 0) return
      const value = `foreign ${races}`
      account.write('example.com', (records) => [...records, { name: NAME, value, ttlSeconds: 1234 }])
    }
    await writer.put(provider, place, 'ours', signal)
    t.same(values(account), ['of another client', 'foreign 2', 'foreign 1', 'foreign 0', 'ours'])
  })

  test(`${kind}: a value that another writer loses for us is written again, and not for ever`, async (t) => {
    const { account, provider, writer } = sample(kind)
    let losses = 2
    account.step = (moment) => {
      if (moment !== 'after-write' || losses-- <= 0) return
      account.write('example.com', (records) => records.filter(({ value }) => value !== 'ours'))
    }
    await writer.put(provider, place, 'ours', signal)
    t.ok(values(account).includes('ours'))
    losses = Number.POSITIVE_INFINITY
    await writer.take(provider, place, 'ours', signal)
    await t.rejects(writer.put(provider, place, 'ours', signal), {
      code: 'SOAKP_DNS_CONFLICT',
      message: /Another program/,
    })
  })

  test(`${kind}: the TTL of a set stays as others set it`, async (t) => {
    const { account, provider, writer } = sample(kind)
    await writer.put(provider, place, 'ours', signal)
    const written = account.zones.get('example.com')?.filter(({ name }) => name === NAME)
    t.same(
      written?.map(({ ttlSeconds }) => ttlSeconds),
      [1234, 1234],
    )
  })
}

test('single: a value of somebody else is not written over', async (t) => {
  const { account, provider, writer } = sample('single', true)
  const before = account.others()
  await t.rejects(writer.put(provider, place, 'ours', signal), { code: 'SOAKP_DNS_REFUSED', message: /keeps only one/ })
  await writer.take(provider, place, 'ours', signal)
  t.same(account.others(), before)
})

/** A small generator that gives the same numbers for the same seed (mulberry32). */
function numbers(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below
  }
}

for (const kind of kinds) {
  test(`${kind}: whoever else writes and whatever fails, what is not ours is unchanged and ours is gone`, async (t) => {
    for (let seed = 1; seed <= 60; seed += 1) {
      const random = numbers(seed)
      const { account, provider, writer } = sample(kind)
      const expected = new Set(account.others())
      let budget = 12
      account.step = (moment) => {
        if (budget <= 0 || random(3) !== 0) return
        budget -= 1
        if (random(2) === 0 && moment !== 'read')
          throw fault((['unreachable', 'limit', 'conflict'] as const)[random(3)] ?? 'limit')
        const name = kind === 'single' || random(2) === 0 ? 'www.example.com' : NAME
        const value = `foreign ${seed} ${budget}`
        const ttlSeconds = name === NAME ? 1234 : 60
        account.write('example.com', (records) => [...records, { name, value, ttlSeconds }])
        expected.add(`${name} ${ttlSeconds} ${JSON.stringify(value)}`)
      }
      const ours = kind === 'single' ? ['a'] : ['a', 'b', 'c']
      await Promise.all(ours.map(async (value) => writer.put(provider, place, value, signal)))
      if (!ours.every((value) => values(account).includes(value))) t.fail(`seed ${seed}: ours do not stand`)
      await Promise.all(ours.map(async (value) => writer.take(provider, place, value, signal)))
      const after = account.others()
      if (JSON.stringify(after) !== JSON.stringify([...expected].toSorted()))
        t.same(after, [...expected], `seed ${seed}`)
    }
    t.pass('sixty runs')
  })
}
