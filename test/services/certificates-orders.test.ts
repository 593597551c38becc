import { test } from 'tap'
import type { OrderRequest } from '../../services/acme/index.ts'
import { Secret } from '../../services/secret.ts'
import { MAIN, OTHER, beginWith, createWorld } from '../support/certificate-world.ts'
import type { World } from '../support/certificate-world.ts'
import { problemOf } from '../support/memory-authority.ts'

const MINUTE_MS = 60_000
const DAY_MS = 86_400_000

/** Notes what orders ask for. */
function watchOrders(world: World, refuse: (request: OrderRequest) => void = () => undefined): OrderRequest[] {
  const requests: OrderRequest[] = []
  world.main.hinder = (call, request) => {
    if (call !== 'createOrder' || request === undefined) return
    requests.push(request)
    refuse(request)
  }
  return requests
}

const far = (now: number) => ({
  start: now + 30 * DAY_MS,
  end: now + 31 * DAY_MS,
  explanationUrl: undefined,
  retryAfterMs: DAY_MS,
})

for (const [what, refuse] of [
  ['alreadyReplaced', () => problemOf(MAIN, 'alreadyReplaced', { answered: 409 })],
  ['a 500', () => problemOf(MAIN, 'serverInternal', { answered: 500, detail: 'oops' })],
  ['malformed that mentions it', () => problemOf(MAIN, 'malformed', { detail: 'cannot parse "replaces" field' })],
  ['unauthorized', () => problemOf(MAIN, 'unauthorized', { answered: 403, detail: 'not your certificate' })],
] as const) {
  test(`an order that is refused with ${what} is made again without what it replaces`, async (t) => {
    const world = createWorld()
    const { clock, main, engine, use } = world
    main.window = () => far(clock.now())
    const certificates = engine()
    certificates.start(use)
    await clock.advance(MINUTE_MS)
    const requests = watchOrders(world, ({ replaces }) => {
      if (replaces !== undefined) throw refuse()
    })
    await clock.advanceWhile(certificates.renew())
    t.match(requests, [{ replaces: /^[\w-]+\.[\w-]+$/ }, { replaces: undefined }])
    t.equal(requests.length, 2)
    await certificates.close()
  })
}

test('what an order replaces is not said where the authority offers no ARI, or to another account', async (t) => {
  const world = createWorld()
  const { clock, main, engine, use } = world
  const requests = watchOrders(world)
  const certificates = engine()
  certificates.start(use)
  await clock.advance(MINUTE_MS)
  await clock.advanceWhile(certificates.renew())
  main.window = () => far(clock.now())
  await clock.advanceWhile(certificates.renew())
  main.accounts.clear()
  main.accounts.set('another', 'taken')
  await clock.advanceWhile(certificates.renew())
  t.same(
    requests.map(({ replaces }) => replaces !== undefined),
    [false, false, true, false],
  )
  await certificates.close()
})

test('the first profile that the authority has is ordered, the next one when it is refused, at last none', async (t) => {
  const world = createWorld()
  const { clock, main, engine, use, events } = world
  main.profiles = { tlsserver: '45 days', classic: '90 days' }
  const requests = watchOrders(world, ({ profile }) => {
    if (profile !== undefined) throw problemOf(MAIN, 'invalidProfile')
  })
  const certificates = engine({ profiles: ['shortlived', 'tlsserver', 'classic'] })
  certificates.start(use)
  await clock.advance(MINUTE_MS)
  t.same(
    requests.map(({ profile }) => profile),
    ['tlsserver', 'classic', undefined],
  )
  t.match(await certificates.status(), { certificate: { profile: null } })
  watchOrders(world)
  await clock.advanceWhile(certificates.renew())
  t.match(await certificates.status(), { certificate: { profile: 'tlsserver' } })
  t.ok(events.some(({ message }) => message.includes('profile tlsserver was refused')))
  await certificates.close()
})

test('an external account is bound where the authority asks for one, and asked for in words', async (t) => {
  const { clock, main, engine, use } = createWorld()
  main.externalAccountRequired = true
  const without = engine()
  without.start(use)
  await clock.advance(MINUTE_MS)
  t.match(await without.status(), {
    last_error: { code: 'SOAKP_ACME_EXTERNAL_ACCOUNT', message: /SOAKP_ACME_EAB_KID/ },
  })
  await without.close()
  const certificates = engine({ externalAccount: { kid: 'k', hmac: new Secret('canary-hmac') } })
  await clock.advanceWhile(certificates.renew())
  t.match(await certificates.status(), { state: 'valid' })
  await certificates.close()
})

test('an account that is gone or deactivated is made anew', async (t) => {
  const { clock, main, engine, use, kinds } = createWorld()
  const certificates = engine()
  certificates.start(use)
  await clock.advance(MINUTE_MS)
  let isDeactivated = true
  const [key] = main.accounts.keys()
  main.hinder = (call) => {
    if (call === 'findOrMakeAccount' && isDeactivated) {
      isDeactivated = false
      throw problemOf(MAIN, 'unauthorized', { answered: 401, detail: 'account is deactivated' })
    }
    if (call === 'createOrder' && main.accounts.size === 2) {
      main.accounts.clear()
    }
  }
  await clock.advanceWhile(certificates.renew())
  t.not([...main.accounts.keys()][0], key)
  t.equal(kinds().filter((kind) => kind === 'account-made').length, 3)
  t.equal(kinds().filter((kind) => kind === 'attempt-failed').length, 0)
  await certificates.close()
})

test('where only one value may stand at a name, domain and wildcard are proved one after the other', async (t) => {
  const { clock, dns, engine, use, used } = createWorld()
  dns.valuesPerName = 'one'
  let most = 0
  dns.hinder = () => void (most = Math.max(most, dns.records.size))
  const certificates = engine({ names: ['ai.example.com', '*.ai.example.com', 'b.example.com'] })
  certificates.start(use)
  await clock.advanceUntil(() => used.length === 1)
  t.same(
    dns.calls.filter((call) => /^wait|^locate/.test(call)),
    [
      'locate ai.example.com',
      'locate b.example.com',
      'wait _acme-challenge.ai.example.com 1',
      'wait _acme-challenge.b.example.com 1',
      'wait _acme-challenge.ai.example.com 1',
    ],
  )
  t.equal(most, 2)
  t.same([...dns.records], [])
  await certificates.close()
})

test('a certificate that lacks a name is not stored', async (t) => {
  const { clock, main, engine, use, used } = createWorld()
  main.issuedNames = ['ai.example.com']
  const certificates = engine({ names: ['ai.example.com', 'b.example.com'] })
  certificates.start(use)
  await clock.advance(MINUTE_MS)
  t.match(await certificates.status(), {
    state: 'missing',
    last_error: { code: 'SOAKP_ACME_CERTIFICATE', message: /does not have b\.example\.com, so the present one stays/ },
  })
  main.issuedNames = undefined
  await clock.advanceWhile(certificates.renew())
  t.equal(used.length, 1)
  await certificates.close()
})

test('other names in the configuration get a certificate at once, while the old one serves those it has', async (t) => {
  const { clock, engine, use, used } = createWorld()
  const first = engine()
  first.start(use)
  await clock.advance(MINUTE_MS)
  await first.close()
  const second = engine({ names: ['ai.example.com', 'b.example.com'] })
  t.equal((await beginWith(second))?.cert, used[0]?.cert)
  second.start(use)
  await clock.advance(MINUTE_MS)
  t.match(await second.status(), { certificate: { names: ['ai.example.com', 'b.example.com'] } })
  t.equal(used.length, 2)
  await second.close()
  t.equal(await beginWith(engine({ names: ['c.example.com'] })), undefined, 'one without any of the names is none')
})

test('a certificate that cannot be taken into service stays stored and is tried again, not ordered again', async (t) => {
  const { clock, main, engine, used, use, events } = createWorld()
  let failures = 0
  const certificates = engine()
  certificates.start(async (pair) => {
    if (failures < 3) throw new Error(`handshake ${(failures += 1)}`)
    await use(pair)
  })
  await clock.advance(3 * MINUTE_MS - 1)
  t.match(await certificates.status(), { state: 'valid', serving: 'local' })
  t.equal(events.filter(({ message }) => message.startsWith('The certificate was not taken')).length, 2)
  await clock.advance(DAY_MS)
  t.equal(used.length, 1)
  t.equal(main.orders.length, 1)
  t.match(await certificates.status(), { serving: 'acme' })
  await certificates.close()
})

test('no name is written that was not ordered, whatever the authority asks for', async (t) => {
  const { clock, dns, main, engine, use } = createWorld()
  main.foreign = 'victim.example.com'
  const certificates = engine()
  certificates.start(use)
  await clock.advance(MINUTE_MS)
  t.same(
    dns.calls.filter((call) => call !== 'sweep'),
    [],
  )
  t.match(await certificates.status(), { last_error: { message: /asks for a proof of victim\.example\.com/ } })
  await certificates.close()
})

for (const [what, changes] of [
  ['other names', { names: ['b.example.com'] }],
  ['another authority', { directories: [{ name: 'other', url: OTHER }] }],
] as const) {
  test(`an order that nobody will resume because of ${what} is forgotten, and its records are removed`, async (t) => {
    const { clock, dns, main, other, secrets, engine, use } = createWorld()
    dns.hinder = (call) => (call.startsWith('wait') ? new Promise(() => undefined) : undefined)
    const first = engine()
    first.start(use)
    await clock.advanceUntil(() => dns.records.size === 1)
    await first.close()
    dns.hinder = () => undefined
    for (const each of [main, other]) {
      each.hinder = () => Promise.reject(problemOf(each.url, 'serverInternal', { answered: 500 }))
    }
    const second = engine(changes)
    second.start(use)
    await clock.advance(MINUTE_MS)
    t.same([...dns.records], [], 'though no authority answers')
    t.same(secrets.read('acme-orders'), { orders: [] })
    await second.close()
  })
}
