import { test } from 'tap'
import type { RevocationReason } from '../../services/certificates/revocation-reasons.ts'
import { MAIN, OTHER, beginWith, createWorld } from '../support/certificate-world.ts'
import { problemOf } from '../support/memory-authority.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const START = Date.UTC(2026, 10, 25)
const never = () => new Promise<never>(() => undefined)
const CALLS = [
  'readDirectory findOrMakeAccount createOrder readAuthorization answerChallenge readOrder finalize readCertificate',
  'sweep locate write wait remove',
]
  .join(' ')
  .split(' ')

for (const call of CALLS) {
  test(`it stops within two seconds while ${call} does not return, and the next start ends the order`, async (t) => {
    const { clock, main, dns, engine, use, used } = createWorld()
    let isHanging = false
    const hinder = (text: string) => {
      if (!text.startsWith(call)) return undefined
      isHanging = true
      return never()
    }
    main.hinder = hinder
    dns.hinder = hinder
    const first = engine()
    first.start(use)
    await clock.advanceUntil(() => isHanging)
    const before = clock.now()
    // In real time too: nobody moves the clock here.
    await first.close()
    t.equal(clock.now(), before)
    main.hinder = () => undefined
    dns.hinder = () => undefined
    const second = engine()
    second.start(use)
    await clock.advanceUntil(() => used.length === 1)
    await clock.advance(1_000)
    t.equal(main.orders.length, 1)
    t.same([...dns.records], [])
    t.match(await second.status(), { state: 'valid', last_error: null })
    await second.close()
  })
}

test('it stops at once while it waits, and while the server does not take a certificate', async (t) => {
  const { clock, main, engine, use } = createWorld()
  main.hinder = () => Promise.reject(problemOf(MAIN, 'serverInternal', { answered: 500 }))
  const waiting = engine()
  waiting.start(use)
  await clock.advance(1_000)
  await waiting.close()
  t.equal(clock.sleeping(), 0, 'nothing is left behind')
  main.hinder = () => undefined
  let isTaking = false
  const taking = engine()
  taking.start(() => {
    isTaking = true
    return never()
  })
  await clock.advanceUntil(() => isTaking)
  await taking.close()
  t.equal(clock.sleeping(), 0)
  await t.rejects(taking.renew(), { code: 'SOAKP_STOPPING' })
})

test('an operator joins the attempt that runs, and two operators are one', async (t) => {
  const { clock, main, dns, engine, use } = createWorld()
  const { promise, resolve } = Promise.withResolvers<void>()
  dns.hinder = (call) => (call.startsWith('wait') ? promise : undefined)
  const certificates = engine()
  certificates.start(use)
  await clock.advanceUntil(() => dns.records.size === 1)
  const both = Promise.all([certificates.renew(), certificates.renew()])
  t.match(await certificates.status(), { running: { attempt: /^att_/, phase: 'wait' } })
  resolve()
  const [status] = await clock.advanceWhile(both)
  t.match(status, { state: 'valid', running: null })
  t.equal(main.orders.length, 1)
  await certificates.close()
})

test('an operator hears what an attempt failed of, and need not wait for the next one', async (t) => {
  const { clock, main, engine, use } = createWorld()
  main.hinder = () => Promise.reject(problemOf(MAIN, 'serverInternal', { answered: 500 }))
  const certificates = engine()
  certificates.start(use)
  await clock.advance(2 * HOUR_MS)
  await t.rejects(certificates.renew(), { code: 'SOAKP_ACME_SERVER_INTERNAL' })
  main.hinder = () => undefined
  t.match(await clock.advanceWhile(certificates.renew()), { state: 'valid', holds: [] })
  await certificates.close()
})

test('revoking goes by the account, or by the key, and brings a certificate with a new key', async (t) => {
  const { clock, main, engine, use, used, kinds } = createWorld()
  const certificates = engine()
  await t.rejects(certificates.revoke('superseded'), { code: 'SOAKP_CERTIFICATE_MISSING' })
  certificates.start(use)
  await clock.advance(MINUTE_MS)
  await t.rejects(certificates.revoke('ca_compromise' as RevocationReason), { code: 'SOAKP_REVOCATION_REASON' })
  const [first] = used
  t.match(await clock.advanceWhile(certificates.revoke('superseded')), {
    state: 'valid',
    certificate: { revoked_at: null },
  })
  t.same(main.revoked, [{ certificate: first?.cert, reason: 4, byKey: false }])
  t.equal(used.length, 2)
  t.not(used[0]?.key, used[1]?.key)
  await clock.advanceWhile(certificates.revoke('key_compromise'))
  t.match(main.revoked[1], { certificate: used[1]?.cert, reason: 1, byKey: true }, 'after a compromise by the key')
  const { hinder } = main
  let isRefused = false
  main.hinder = (call) => {
    if (call !== 'revoke' || isRefused) return
    isRefused = true
    throw problemOf(MAIN, 'unauthorized', { answered: 403 })
  }
  await clock.advanceWhile(certificates.revoke('cessation_of_operation'))
  t.match(main.revoked[2], { byKey: true }, 'where the account may not')
  main.hinder = (call) => {
    if (call === 'revoke') throw problemOf(MAIN, 'alreadyRevoked')
    if (call === 'createOrder') throw problemOf(MAIN, 'serverInternal', { answered: 500 })
  }
  t.match(await clock.advanceWhile(certificates.revoke('unspecified')), {
    state: 'revoked',
    last_error: { problem: 'serverInternal' },
    certificate: { revoked_at: Math.floor(clock.now() / 1000) },
  })
  t.equal(main.calls.filter((call) => call === 'revoke').length, 5, 'one that is revoked already is left')
  main.hinder = hinder
  await clock.advance(5 * MINUTE_MS)
  t.match(await certificates.status(), { state: 'valid' }, 'what failed is repeated')
  t.equal(kinds().filter((kind) => kind === 'certificate-revoked').length, 4)
  await certificates.close()
})

test('a revocation that a kill cut short is brought to its end by the next start', async (t) => {
  let cut = 0
  for (let dieAt = 0; ; dieAt += 1) {
    const { clock, main, engine, secrets, use, used } = createWorld()
    const first = engine()
    first.start(use)
    await clock.advance(MINUTE_MS)
    await first.close()
    const second = engine({}, { dieAt })
    let isOver = false
    const revoking = second.revoke('superseded').finally(() => (isOver = true))
    revoking.catch(() => undefined)
    await clock.advanceUntil(() => isOver || secrets.isDead())
    const isKilled = secrets.isDead()
    const isHeard = main.revoked.length > 0
    await second.close()
    if (!isKilled) break
    const third = engine()
    const stored = await beginWith(third)
    third.start(use)
    await clock.advance(10 * MINUTE_MS)
    t.match(await third.status(), { state: 'valid', certificate: { revoked_at: null } }, `killed at write ${dieAt}`)
    const served = used[1] ?? stored
    if (isHeard) t.not(served?.cert, used[0]?.cert, 'another certificate is served')
    if (isHeard) cut += 1
    await third.close()
  }
  t.ok(cut > 1, 'it was cut short after the authority had heard of it')
})

for (const when of ['before', 'after']) {
  test(`account keys are changed; a crash ${when} the authority has heard of it loses no account`, async (t) => {
    const { clock, main, engine, secrets, use } = createWorld()
    const first = engine()
    first.start(use)
    await clock.advance(MINUTE_MS)
    const [old] = main.accounts.keys()
    await first.changeAccountKeys()
    const [changed] = main.accounts.keys()
    t.not(changed, old)
    await clock.advanceWhile(first.renew())
    t.equal(main.accounts.size, 1)
    if (when === 'before') main.hinder = (call) => (call === 'changeKey' ? never() : undefined)
    const changing = first.changeAccountKeys()
    changing.catch(() => undefined)
    if (when === 'before') await clock.advance(1_000)
    else {
      await changing
      // As it was before the last write.
      const [key] = main.accounts.keys()
      const url = main.accounts.get(key ?? '')
      await secrets.live().replace('acme-accounts', { [MAIN]: { key: changed, url, nextKey: key } })
    }
    await first.close()
    main.hinder = () => undefined
    const second = engine()
    await clock.advanceWhile(second.renew())
    t.equal(main.accounts.size, 1, 'no other account was made')
    const accounts = secrets.read('acme-accounts') as Record<string, object>
    t.same(Object.keys(accounts[MAIN] ?? {}).toSorted(), ['email', 'key', 'url'])
    await second.close()
  })
}

test('the second authority is left when it is no longer configured, and stays while it is', async (t) => {
  const { clock, engine, use, used } = createWorld()
  const [main, other] = [
    { name: 'main', url: MAIN },
    { name: 'other', url: OTHER },
  ]
  for (const [directories, certificates, directory] of [
    [[other], 1, OTHER],
    [[main, other], 1, OTHER],
    [[main], 2, MAIN],
  ] as const) {
    const each = engine({ directories })
    await beginWith(each)
    each.start(use)
    await clock.advance(HOUR_MS)
    t.equal(used.length, certificates)
    t.match(await each.status(), { certificate: { directory } })
    await each.close()
  }
})

test('nothing secret is in the status, the events or the figures', async (t) => {
  const { clock, engine, use, events, secrets } = createWorld()
  const certificates = engine()
  certificates.start(use)
  await clock.advance(MINUTE_MS)
  const told = JSON.stringify([await certificates.status(), events, certificates.figures()])
  t.match(secrets.text(), /PRIVATE KEY/)
  t.notMatch(told, /PRIVATE|BEGIN/)
  const timeline = (await certificates.status()).timeline
  t.same(timeline, events.toReversed())
  await certificates.close()
  const again = engine()
  t.same((await again.status()).timeline, timeline, 'the timeline outlives a restart')
  await again.close()
})

test('records that cannot be read or written end nothing, are told of once, and are looked at again', async (t) => {
  const { clock, main, secrets, engine, events, use, used } = createWorld(START)
  const broken = engine({}, { isBroken: () => clock.now() < START + HOUR_MS })
  t.doesNotThrow(() => broken.start(use))
  await clock.advance(HOUR_MS - 1)
  t.same(main.calls, [])
  t.same(
    events.map(({ kind, message }) => [kind, message.slice(0, 38)]),
    [['warning', 'The certificate cannot be looked after']],
  )
  await clock.advance(2 * MINUTE_MS)
  t.equal(used.length, 1)
  t.ok(secrets.read('acme-certificate'))
  await broken.close()
})

test('after a revocation not even the key of an order that was left open is used', async (t) => {
  const { clock, main, dns, secrets, engine, use, used } = createWorld()
  const certificates = engine()
  certificates.start(use)
  await clock.advance(MINUTE_MS)
  dns.hinder = (call) => (call.startsWith('wait') ? Promise.reject(new Error('lagging')) : undefined)
  await t.rejects(certificates.renew())
  const { orders } = secrets.read('acme-orders') as { orders: { key: string }[] }
  t.equal(orders.length, 1)
  dns.hinder = () => undefined
  await clock.advanceWhile(certificates.revoke('key_compromise'))
  t.equal(main.orders.length, 3)
  t.not(used.at(-1)?.key, orders[0]?.key)
  await clock.advance(MINUTE_MS)
  t.same([...dns.records], [])
  await certificates.close()
})
