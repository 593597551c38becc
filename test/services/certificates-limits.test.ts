import { test } from 'tap'
import { MAIN, OTHER, createWorld } from '../support/certificate-world.ts'
import { problemOf } from '../support/memory-authority.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS
const both = {
  directories: [
    { name: 'main', url: MAIN },
    { name: 'other', url: OTHER },
  ],
}
const count = (calls: readonly string[], name: string) => calls.filter((call) => call === name).length

test('after rateLimited the authority is not asked before its time, also not by an operator or after a restart', async (t) => {
  const { clock, main, engine, use, events } = createWorld()
  main.hinder = (call) => {
    if (call === 'createOrder') throw problemOf(MAIN, 'rateLimited', { answered: 429, retryAfterMs: 30 * HOUR_MS })
  }
  const limited = clock.now()
  const first = engine()
  first.start(use)
  await clock.advance(10 * HOUR_MS)
  t.equal(count(main.calls, 'createOrder'), 1)
  const until = limited / 1000 + 30 * 3600
  t.match(await first.status(), {
    holds: [{ directory: MAIN, until, reason: 'detail of rateLimited' }],
    next_renewal: { at: until },
    last_error: { code: 'SOAKP_ACME_RATE_LIMITED', problem: 'rateLimited' },
  })
  await t.rejects(first.renew(), { code: 'SOAKP_ACME_HELD', message: /main\.test holds off until 2026-11-26T06:00/ })
  await first.close()
  const second = engine()
  second.start(use)
  await clock.advance(19 * HOUR_MS)
  await t.rejects(second.renew(), { code: 'SOAKP_ACME_HELD' })
  t.equal(count(main.calls, 'createOrder'), 1)
  t.ok(events.some(({ kind, message }) => kind === 'hold-set' && message.includes('2026-11-26T06:00')))
  main.hinder = () => undefined
  await clock.advance(2 * HOUR_MS)
  t.match(await second.status(), { state: 'valid', holds: [], last_error: null })
  await second.close()
})

for (const [detail, held] of [
  ['too many certificates (5) already issued for this exact set of identifiers in the last 168h0m0s', true],
  ['too many failed authorizations (5) for "ai.example.com" in the last 1h0m0s', true],
  ['too many certificates (50) already issued for "example.com"', true],
  ['too many new orders (300) from this account in the last 3h0m0s', false],
] as const) {
  test(`"${detail}" holds ${held ? 'these names' : 'all names'} off`, async (t) => {
    const { clock, main, engine, use, used } = createWorld()
    main.hinder = (call, details) => {
      if (call !== 'createOrder' || details?.names[0] !== 'ai.example.com') return
      throw problemOf(MAIN, 'rateLimited', { answered: 429, detail, retryAfterMs: 5 * HOUR_MS })
    }
    const first = engine()
    first.start(use)
    await clock.advance(HOUR_MS)
    await first.close()
    const second = engine({ names: ['other.example.net'] })
    second.start(use)
    await clock.advance(HOUR_MS)
    t.equal(used.length, held ? 1 : 0)
    await second.close()
  })
}

test('a time in words is heeded where there is no Retry-After', async (t) => {
  const { clock, main, engine, use } = createWorld()
  main.hinder = (call) => {
    if (call !== 'createOrder') return
    throw problemOf(MAIN, 'rateLimited', { answered: 429, detail: 'wait, retry after 2026-11-27 10:00:00 UTC: see …' })
  }
  const certificates = engine()
  certificates.start(use)
  await clock.advance(HOUR_MS)
  t.match(await certificates.status(), { holds: [{ until: Date.UTC(2026, 10, 27, 10) / 1000 }] })
  await certificates.close()
})

test('while one authority holds off, the next one is asked at once for the first certificate', async (t) => {
  const { clock, main, other, engine, use, used } = createWorld()
  main.hinder = (call) => {
    if (call === 'createOrder') throw problemOf(MAIN, 'rateLimited', { answered: 429, retryAfterMs: 5 * HOUR_MS })
  }
  const certificates = engine(both)
  certificates.start(use)
  await clock.advance(MINUTE_MS)
  t.equal(used.length, 1)
  t.match(await certificates.status(), { certificate: { directory: OTHER } })
  t.equal(other.orders.length, 1)
  await clock.advance(DAY_MS)
  t.equal(used.length, 1, 'and its certificate stays until its time')
  await certificates.close()
})

test('an authority that does not answer is left for the next one after two failures; asked ever more rarely otherwise', async (t) => {
  for (const [changes, most] of [
    [both, 2],
    [{}, 12],
  ] as const) {
    const { clock, main, engine, use, used } = createWorld()
    main.hinder = () => Promise.reject(problemOf(MAIN, 'serverInternal', { answered: 503 }))
    const certificates = engine(changes)
    certificates.start(use)
    await clock.advance(DAY_MS)
    t.equal(used.length, changes === both ? 1 : 0)
    t.ok(main.calls.length <= most, `${main.calls.length} calls in a day`)
    t.ok(main.calls.length >= Math.min(most, 8), `${main.calls.length} calls in a day`)
    await certificates.close()
  }
})

test('where the fault is with our DNS, no other authority is bothered', async (t) => {
  const { clock, dns, other, engine, use } = createWorld()
  dns.hinder = (call) => (call.startsWith('locate') ? Promise.reject(new Error('no zone')) : undefined)
  const certificates = engine(both)
  certificates.start(use)
  await clock.advance(DAY_MS)
  t.same(other.calls, [])
  t.match(await certificates.status(), { last_error: { code: 'SOAKP_CERTIFICATE_FAILED' } })
  await certificates.close()
})

for (const hasStaging of [false, true]) {
  test(`never more than five validations of a name fail in an hour, ${hasStaging ? 'with' : 'without'} staging`, async (t) => {
    const { clock, main, staging, engine, use } = createWorld()
    for (const each of [main, staging]) each.hasRecord = () => false
    const certificates = engine({ names: ['ai.example.com', '*.ai.example.com'] }, { hasStaging })
    certificates.start(use)
    for (let hour = 0; hour < 48; hour += 1) {
      // An impatient operator, too.
      for (let time = 0; time < 4; time += 1) {
        await clock.advanceWhile(certificates.renew().catch(() => undefined))
        await clock.advance(15 * MINUTE_MS)
      }
    }
    for (const { failed } of [main, staging]) {
      const within = failed.map(({ at }) => failed.filter((each) => each.at >= at && each.at < at + HOUR_MS).length)
      t.ok(Math.max(0, ...within) <= 5, `${failed.length} in two days, at most ${Math.max(0, ...within)} in an hour`)
    }
    t.ok(main.failed.length > 0)
    if (hasStaging) t.ok(staging.failed.length > main.failed.length)
    await certificates.close()
  })
}

test('after a failed validation staging is asked until it is satisfied, then the authority at once', async (t) => {
  const { clock, main, staging, engine, use, used } = createWorld()
  let isServed = false
  for (const each of [main, staging]) each.hasRecord = () => isServed
  const first = engine({}, { hasStaging: true })
  first.start(use)
  await clock.advance(3 * HOUR_MS)
  t.equal(main.failed.length, 1)
  t.ok(staging.failed.length >= 4)
  t.equal(staging.accounts.size, 1)
  t.notSame([...staging.accounts.keys()], [...main.accounts.keys()], 'with an account of its own')
  t.match(await first.status(), {
    last_error: { problem: 'unauthorized', message: /staging\.test did not accept .* ai\.example\.com/ },
  })
  await first.close()
  const second = engine({}, { hasStaging: true })
  second.start(use)
  isServed = true
  const before = main.orders.length
  await clock.advanceUntil(() => used.length === 1)
  t.equal(main.orders.length, before + 1)
  t.equal(main.orders.at(-1)?.createdAt, staging.orders.at(-1)?.createdAt)
  t.notOk(staging.calls.includes('readCertificate'), 'nothing of the trial is fetched')
  t.match(await second.status(), { certificate: { directory: MAIN } })
  await second.close()
})

test('after rateLimited staging is not asked', async (t) => {
  const { clock, main, staging, engine, use } = createWorld()
  main.hinder = (call) => {
    if (call === 'createOrder') throw problemOf(MAIN, 'rateLimited', { answered: 429 })
  }
  const certificates = engine({}, { hasStaging: true })
  certificates.start(use)
  await clock.advance(DAY_MS)
  t.same(staging.calls, [])
  t.equal(count(main.calls, 'createOrder'), 11, 'an hour where it names no time, then longer')
  await certificates.close()
})

test('the sixth certificate for the same names in a week is refused before the authority does', async (t) => {
  const { clock, main, engine, use } = createWorld()
  const certificates = engine({}, { hasStaging: true })
  certificates.start(use)
  await clock.advance(MINUTE_MS)
  for (let time = 0; time < 4; time += 1) await clock.advanceWhile(certificates.renew())
  await t.rejects(certificates.renew(), { code: 'SOAKP_ACME_HELD', message: /nothing is ordered before 2026-12-02/ })
  t.equal(main.orders.length, 5)
  await clock.advance(7 * DAY_MS)
  await clock.advanceWhile(certificates.renew())
  t.equal(main.orders.length, 6)
  await certificates.close()
})

test('who starts SOAKP anew after a long pause for failures waits five minutes at most', async (t) => {
  const { clock, dns, engine, use, used } = createWorld()
  dns.hinder = (call) => (call.startsWith('locate') ? Promise.reject(new Error('no zone')) : undefined)
  const first = engine()
  first.start(use)
  await clock.advance(DAY_MS)
  await first.close()
  dns.hinder = () => undefined
  const second = engine()
  second.start(use)
  await clock.advance(5 * MINUTE_MS)
  t.equal(used.length, 1)
  await second.close()
})
