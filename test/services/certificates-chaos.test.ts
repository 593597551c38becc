import { X509Certificate } from 'node:crypto'
import { setImmediate as turn } from 'node:timers/promises'
import { test } from 'tap'
import type { Limits } from '../../services/certificates/limits.ts'
import { MAIN, beginWith, createWorld } from '../support/certificate-world.ts'
import type { World } from '../support/certificate-world.ts'
import { problemOf } from '../support/memory-authority.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS
const NAMES = { names: ['ai.example.com', '*.ai.example.com', 'b.example.org'] }

/** Numbers from 0 up to but not 1, the same for the same seed. */
function createChance(seed: number): () => number {
  let state = seed
  return () => (state = (state * 1_664_525 + 1_013_904_223) % 2 ** 32) / 2 ** 32
}

interface Trouble {
  /** Calls that were made though the authority had said when it may be asked again. */
  readonly breaches: string[]
  /** After a kill: nobody can keep to what was never noted. */
  forgetUnless(isNoted: boolean): void
  end(): void
}

/** Has calls fail by chance, in all the ways that there are. */
function makeTrouble({ clock, main, dns, secrets }: World, chance: () => number): Trouble {
  const breaches: string[] = []
  let heldUntil = 0
  const isHit = () => chance() < 0.08
  const errors = [
    () => problemOf(MAIN, 'serverInternal', { answered: 500 }),
    () => problemOf(MAIN, 'badNonce'),
    () => problemOf(MAIN, 'malformed', { detail: 'replaces' }),
    () => problemOf(MAIN, 'accountDoesNotExist'),
    () => problemOf(MAIN, 'rejectedIdentifier', { answered: 403 }),
    () => new Error('unforeseen'),
    () => {
      const retryAfterMs = MINUTE_MS + chance() * 12 * HOUR_MS
      heldUntil = Math.max(heldUntil, clock.now() + retryAfterMs)
      return problemOf(MAIN, 'rateLimited', { answered: 429, retryAfterMs })
    },
  ]
  main.hinder = (call) => {
    const isOfWindow = call === 'readDirectory' || call === 'readRenewalWindow'
    if (!isOfWindow && clock.now() < heldUntil) breaches.push(`${call} at ${clock.now()}`)
    // What is answered to a killed process reaches nobody.
    if (!isHit() || isOfWindow || secrets.isDead()) return
    throw errors[Math.floor(chance() * errors.length)]?.()
  }
  dns.hinder = () => (isHit() ? Promise.reject(new Error('DNS')) : undefined)
  const { hasRecord } = main
  main.hasRecord = (...asked) => !isHit() && hasRecord(...asked)
  return {
    breaches,
    forgetUnless: (isNoted) => void (heldUntil = isNoted ? heldUntil : 0),
    end() {
      main.hinder = () => undefined
      dns.hinder = () => undefined
      main.hasRecord = hasRecord
    },
  }
}

for (let seed = 1; seed <= 12; seed += 1) {
  test(`faults and kills of seed ${seed} breach no limit, lose no certificate and leave no record`, async (t) => {
    const world = createWorld()
    const { clock, main, dns, engine, used, use, secrets } = world
    const chance = createChance(seed)
    main.lifetimeMs = 160 * HOUR_MS
    if (seed % 2 === 0) {
      const start = clock.now()
      main.window = () => ({ start, end: start + 60 * DAY_MS, explanationUrl: undefined, retryAfterMs: 6 * HOUR_MS })
    }
    const trouble = makeTrouble(world, chance)
    for (let life = 0; life < 20; life += 1) {
      const certificates = engine(NAMES, { dieAt: chance() < 0.5 ? Math.floor(chance() * 25) : Infinity })
      await beginWith(certificates).catch(() => undefined)
      certificates.start(use)
      const end = clock.now() + chance() * 3 * DAY_MS
      await clock.advanceUntil(() => secrets.isDead() || clock.now() >= end)
      clock.set(Math.max(clock.now(), end))
      let isOver = secrets.isDead() || chance() < 0.7
      if (!isOver)
        void certificates.renew().then(
          () => (isOver = true),
          () => (isOver = true),
        )
      await clock.advanceUntil(() => secrets.isDead() || isOver)
      await certificates.close()
      // What was asked for last is answered before the next life.
      await turn()
      await turn()
      const { holds = [] } = (secrets.read('acme-limits') ?? {}) as Partial<Limits>
      if (secrets.isDead()) trouble.forgetUnless(holds.some(({ until }) => until > clock.now()))
    }
    trouble.end()
    const certificates = engine(NAMES)
    await beginWith(certificates)
    certificates.start(use)
    await clock.advance(DAY_MS)
    t.match(await certificates.status(), { state: 'valid', serving: 'acme' })
    t.same([...dns.records], [])
    t.same(secrets.read('acme-orders') ?? { orders: [] }, { orders: [] })
    t.same(trouble.breaches, [])
    const within = main.failed.map(
      ({ at, domain }) =>
        main.failed.filter((each) => each.domain === domain && each.at >= at && each.at < at + HOUR_MS).length,
    )
    t.ok(Math.max(0, ...within) <= 5)
    t.ok(new Set(used.map(({ key }) => key)).size >= used.length - 3)
    t.ok(new X509Certificate((await beginWith(certificates))?.cert ?? '').validToDate.getTime() > clock.now() + DAY_MS)
    await certificates.close()
  })
}
