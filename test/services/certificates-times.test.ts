import { X509Certificate } from 'node:crypto'
import { test } from 'tap'
import { MAIN, beginWith, createWorld } from '../support/certificate-world.ts'
import { courses, live, restOf } from '../support/certificate-years.ts'
import { problemOf } from '../support/memory-authority.ts'

// A zone with summer time, which must not matter.
process.env['TZ'] = 'Europe/Berlin'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const START = Date.UTC(2026, 10, 25)

for (const course of courses) {
  // All of it through 2028 is in test/long.
  const until = course.name === 'of the announced lifetimes' ? Date.UTC(2028, 3, 1) : Date.UTC(2027, 3, 10)
  test(`certificates ${course.name} are renewed in time, and no more often`, (t) => live(t, course, until))
}

for (const [name, lifetimeMs] of [
  ['160 hours', 160 * HOUR_MS],
  ['45 days', 45 * DAY_MS],
] as const) {
  test(`an authority that is down for five days is asked with patience, and certificates of ${name} recover`, async (t) => {
    const { clock, main, engine, used, use } = createWorld()
    main.lifetimeMs = lifetimeMs
    const certificates = engine()
    certificates.start(use)
    await clock.advance(lifetimeMs / 2 - 4 * HOUR_MS)
    for (let time = 0; time < 3; time += 1) {
      main.hinder = () => Promise.reject(problemOf(MAIN, 'serverInternal', { answered: 503 }))
      main.calls.length = 0
      await clock.advance(5 * DAY_MS)
      t.ok(main.calls.length < 5 * 24 + 40, `${main.calls.length} calls`)
      main.hinder = () => undefined
      const before = used.length
      await clock.advance(lifetimeMs)
      t.ok(used.length > before)
      t.match(await certificates.status(), { state: 'valid' })
    }
    const times = main.orders.map(({ createdAt }) => createdAt)
    const within = times.map((at) => times.filter((each) => each >= at && each < at + 7 * DAY_MS).length)
    t.ok(Math.max(...within) <= 4)
    await certificates.close()
  })
}

test('a clock that is set to and fro by years leads to no storm, and to no certificate that is let go', async (t) => {
  const { clock, main, engine, used, use } = createWorld()
  // The authority's clock is right: it goes on by itself while ours jumps.
  let error = 0
  const turn = (to: number) => {
    clock.set(clock.now() - error + to)
    error = to
    main.clockOffsetMs = -error
  }
  main.clockOffsetMs = 0
  const certificates = engine()
  certificates.start(use)
  await clock.advance(HOUR_MS)
  for (const years of [3, 0, -3, 0, 5, -2, 0]) {
    turn(years * 365 * DAY_MS)
    // Not even the question for the window is answered before.
    let isFirst = true
    main.hinder = () => {
      if (!isFirst) return
      isFirst = false
      throw problemOf(MAIN, 'serverInternal', { answered: 500 })
    }
    await clock.advance(3 * DAY_MS)
    t.match(await certificates.status(), { certificate: { revoked_at: null } })
    t.equal(used.length, 1)
  }
  turn(0)
  await clock.advance(60 * DAY_MS)
  const last = new X509Certificate(used.at(-1)?.cert ?? '')
  t.ok(restOf(last, clock.now()) > 1 / 4)
  t.ok(used.length <= 3, `${used.length} certificates`)
  await certificates.close()
})

test('a certificate that was got while the clock was years ahead is renewed in its time', async (t) => {
  const { clock, main, engine, used, use } = createWorld(START + 1000 * DAY_MS)
  main.clockOffsetMs = -1000 * DAY_MS
  const certificates = engine()
  certificates.start(use)
  await clock.advance(DAY_MS)
  clock.set(clock.now() - 1000 * DAY_MS)
  main.clockOffsetMs = 0
  await clock.advance(60 * DAY_MS)
  t.equal(used.length, 2)
  await certificates.close()
})

test('a window that is always past leads to no storm', async (t) => {
  const { clock, main, engine, used, use } = createWorld()
  main.window = () => ({
    start: START - 2 * DAY_MS,
    end: START - DAY_MS,
    explanationUrl: undefined,
    retryAfterMs: 60_000,
  })
  const certificates = engine({}, { hasStaging: true })
  certificates.start(use)
  await clock.advance(2 * 60_000)
  t.equal(used.length, 2, 'at first it is followed at once')
  await clock.advance(DAY_MS)
  t.ok(used.length <= 10, `${used.length} in a day`)
  t.ok(used.length > 5, 'more than five in a week, because the authority asks for it')
  await certificates.close()
})

test('a window is asked for as often as Retry-After says, chosen once, kept over restarts, and explained', async (t) => {
  const { clock, main, engine, events, use } = createWorld()
  const window = { start: START + 20 * DAY_MS, end: START + 30 * DAY_MS, retryAfterMs: 12 * HOUR_MS }
  main.window = () => ({ ...window, explanationUrl: 'https://main.test/why' })
  const first = engine()
  first.start(use)
  await clock.advance(HOUR_MS)
  const planned = (await first.status()).next_renewal
  t.ok((planned?.at ?? 0) * 1000 > window.start && (planned?.at ?? 0) * 1000 < window.end)
  t.match(planned?.reason, /asks for it between 2026-12-15T.* and 2026-12-25T/)
  await first.close()
  const second = engine()
  await beginWith(second)
  second.start(use)
  await clock.advance(DAY_MS)
  t.same((await second.status()).next_renewal, planned)
  t.equal(events.filter(({ kind }) => kind === 'renewal-planned').length, 1)
  t.equal(main.calls.filter((call) => call === 'readRenewalWindow').length, 3)
  t.equal(events.filter(({ message }) => message.includes('https://main.test/why')).length, 1)
  window.start = START - DAY_MS
  window.end = START
  main.calls.length = 0
  await clock.advance(13 * HOUR_MS)
  t.ok(main.calls.includes('createOrder'), 'a window that is past means now')
  await second.close()
})
