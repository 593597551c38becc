import { test } from 'tap'
import { AcmeError } from '../../services/acme/error.ts'
import { MAIN, createWorld } from '../support/certificate-world.ts'
import { problemOf } from '../support/memory-authority.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const never = () => new Promise<never>(() => undefined)

test('a stored certificate that the server would not begin with is not said to be served, and is tried again', async (t) => {
  const { clock, engine, use, used } = createWorld()
  const first = engine()
  first.start(use)
  await clock.advance(MINUTE_MS)
  await first.close()
  const second = engine()
  const refuse = () => {
    throw new Error('refused')
  }
  await t.rejects(second.begin(refuse), { message: 'refused' })
  t.match(await second.status(), { serving: 'none' })
  second.start(use)
  await clock.advance(MINUTE_MS)
  t.equal(used.length, 2)
  t.match(await second.status(), { serving: 'acme' })
  await second.close()
})

test('an authority that asks for thousands of proofs is not followed', async (t) => {
  const { clock, main, engine, use } = createWorld()
  const client = main.client.bind(main)
  main.client = (key) => {
    const made = client(key)
    return {
      ...made,
      async createOrder(request, signal) {
        const order = await made.createOrder(request, signal)
        return { ...order, authorizations: Array.from({ length: 10_000 }, () => order.authorizations[0] ?? '') }
      },
    }
  }
  const certificates = engine()
  certificates.start(use)
  await clock.advance(MINUTE_MS)
  t.match(await certificates.status(), { last_error: { message: /asks for 10000 proofs of 1 names/ } })
  t.ok(main.calls.filter((call) => call === 'readAuthorization').length <= 2)
  await certificates.close()
})

test('what an order leaves pending is given up at the authority, but not when SOAKP only stops', async (t) => {
  const { clock, main, dns, engine, use } = createWorld()
  const given = () => main.calls.filter((call) => call === 'deactivateAuthorization').length
  dns.hinder = (call) => (call.startsWith('wait') ? never() : undefined)
  const first = engine({ names: ['ai.example.com', 'b.example.com'] })
  first.start(use)
  await clock.advanceUntil(() => dns.records.size === 2)
  await first.close()
  t.equal(given(), 0)
  dns.hinder = () => undefined
  const second = engine({ names: ['c.example.com'] })
  second.start(use)
  await clock.advance(MINUTE_MS)
  t.equal(given(), 2, 'an order of other names')
  main.hinder = (call) => {
    if (call === 'answerChallenge') throw problemOf(MAIN, 'malformed')
  }
  await t.rejects(second.renew(), { code: 'SOAKP_ACME_MALFORMED' })
  t.equal(given(), 3, 'an order that was refused')
  await second.close()
})

test('records whose removal failed are swept at once, though their order is still open', async (t) => {
  const { clock, dns, secrets, engine, use } = createWorld()
  dns.hinder = (call) => (/^(?:wait|remove)/.test(call) ? Promise.reject(new Error('lagging')) : undefined)
  const certificates = engine()
  certificates.start(use)
  await clock.advance(1_000)
  t.match(secrets.read('acme-orders'), { orders: [{ values: [] }] })
  t.same([...dns.records], [])
  await certificates.close()
})

test('an order that comes to no end is made anew after a day', async (t) => {
  const { clock, main, engine, use, used } = createWorld()
  const { length } = main.orders
  main.hinder = (call) => {
    const isBroken = call === 'readCertificate' && main.orders.length === length + 1
    if (isBroken) throw new AcmeError(MAIN, 'What it answers is no certificate.', { answered: 200 })
  }
  const certificates = engine()
  certificates.start(use)
  await clock.advance(23 * HOUR_MS)
  t.equal(main.orders.length, 1)
  await clock.advance(12 * HOUR_MS)
  t.equal(used.length, 1)
  await certificates.close()
})

test('the error behind an unforeseen failure is told, and not shown', async (t) => {
  const { clock, dns, events, causes, engine, use } = createWorld()
  const error = new TypeError('x is not a function')
  dns.hinder = (call) => (call.startsWith('wait') ? Promise.reject(error) : undefined)
  const certificates = engine()
  certificates.start(use)
  await clock.advance(1_000)
  t.equal(causes[events.findIndex(({ kind }) => kind === 'attempt-failed')], error)
  t.notMatch(JSON.stringify(await certificates.status()), /not a function/)
  await certificates.close()
})

test('however much an authority has to say, the timeline stays small', async (t) => {
  const { clock, main, engine, use, events } = createWorld()
  const detail = 'word '.repeat(200)
  const subproblems = Array.from({ length: 100 }, () => ({ type: 'caa', detail, name: 'ai.example.com' }))
  main.hinder = (call) => {
    if (call === 'createOrder') throw new AcmeError(MAIN, JSON.stringify(subproblems), { answered: 500 })
  }
  const certificates = engine()
  certificates.start(use)
  await clock.advance(MINUTE_MS)
  t.ok(events.some(({ kind }) => kind === 'attempt-failed'))
  t.ok(events.every(({ message }) => message.length <= 2_001))
  await certificates.close()
})
