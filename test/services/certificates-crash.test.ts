import { test } from 'tap'
import { beginWith, createWorld } from '../support/certificate-world.ts'
import type { World } from '../support/certificate-world.ts'

const NAMES = { names: ['ai.example.com', '*.ai.example.com'] }

/** Lets an engine die at its write `dieAt`; returns whether it came so far. */
async function liveAndDie({ clock, use, secrets, engine, used }: World, dieAt: number): Promise<boolean> {
  const certificates = engine(NAMES, { dieAt })
  certificates.start(use)
  await clock.advanceUntil(() => used.length > 0 || secrets.isDead())
  await certificates.close()
  return secrets.isDead()
}

test('killed at any write, the next start ends the same order and removes our records', async (t) => {
  let orders = 0
  let ended = 0
  for (let dieAt = 0; ; dieAt += 1) {
    const world = createWorld()
    if (!(await liveAndDie(world, dieAt))) break
    const { clock, dns, main, engine, secrets, used, use } = world
    const before = main.orders.length
    const told = world.events.length
    // Written is written: what the first life got into service counts.
    const certificates = engine(NAMES)
    const stored = await beginWith(certificates)
    certificates.start(use)
    const isDone = () => (stored !== undefined || used.length > 0) && dns.records.size === 0
    await clock.advanceUntil(isDone)
    await clock.advance(10_000)
    t.match(await certificates.status(), { state: 'valid', serving: 'acme' }, `killed at write ${dieAt}`)
    t.same([...dns.records], [])
    t.same(secrets.read('acme-orders'), { orders: [] }, 'no order is left')
    orders = Math.max(orders, main.orders.length)
    if (main.orders.length > 1) {
      t.equal(before, 1)
      t.equal(
        dns.calls.filter((call) => call.startsWith('write')).length,
        2,
        'only one that was not noted yet is repeated',
      )
      ended += 1
    }
    const swept = dns.calls.filter((call) => call.startsWith('swept')).map((call) => call.replace('swept', 'write'))
    const lastWrites = dns.calls.slice(dns.calls.findLastIndex((call) => call.startsWith('swept')))
    t.notOk(
      lastWrites.some((call) => swept.includes(call)),
      'what is still needed is not swept',
    )
    t.notOk(world.kinds().slice(told).includes('attempt-failed'), 'a kill is no failure')
    t.equal(main.accounts.size, 1, 'one account')
    await certificates.close()
  }
  t.equal(ended, 1, 'between the answer and its note lies one write')
  t.equal(orders, 2)
})

test('an order that was left is not made again when the authority has forgotten it and nothing is due', async (t) => {
  const { clock, main, engine, use, used, dns } = createWorld()
  const first = engine()
  first.start(use)
  await clock.advanceUntil(() => used.length === 1)
  dns.hinder = (call) => (call.startsWith('wait') ? new Promise(() => undefined) : undefined)
  const renewal = first.renew()
  renewal.catch(() => undefined)
  await clock.advanceUntil(() => main.orders.length === 2 && dns.records.size === 1)
  await first.close()
  t.equal(dns.records.size, 1, 'what stops leaves its record')
  main.orders.splice(1)
  dns.hinder = () => undefined
  const second = engine()
  t.ok(await beginWith(second))
  second.start(use)
  await clock.advanceUntil(() => dns.records.size === 0)
  await clock.advance(3_600_000)
  t.equal(main.orders.length, 1)
  t.match(await second.status(), { state: 'valid' })
  await second.close()
})
