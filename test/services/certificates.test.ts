import { test } from 'tap'
import { createCertificateRequest } from '../../services/acme/certificate-request.ts'
import { assertAcceptable } from '../../services/certificates/accept.ts'
import { MAIN, OTHER, beginWith, createWorld } from '../support/certificate-world.ts'
import { problemOf } from '../support/memory-authority.ts'
import { createTestIssuer } from '../support/memory-certificates.ts'

const DAY_MS = 86_400_000

test('the first certificate comes by itself, is taken into service, and our records are gone', async (t) => {
  const { clock, dns, main, used, engine, kinds, ...world } = createWorld()
  const certificates = engine({ names: ['ai.example.com', '*.ai.example.com'] })
  t.equal(await beginWith(certificates), undefined)
  t.match(await certificates.status(), { state: 'missing', serving: 'none', certificate: null })
  certificates.start(world.use)
  await clock.advanceUntil(() => used.length === 1)
  await clock.advance(60_000)
  t.match(await certificates.status(), {
    state: 'valid',
    serving: 'acme',
    certificate: { names: ['ai.example.com', '*.ai.example.com'], directory: main.url },
    last_error: null,
    running: null,
  })
  t.same([...dns.records], [])
  t.equal(dns.calls.filter((call) => call.startsWith('write')).length, 2, 'domain and wildcard are written')
  t.same(
    dns.calls.filter((call) => call.startsWith('wait')),
    ['wait _acme-challenge.ai.example.com 2'],
    'and waited for once',
  )
  t.equal(main.orders.length, 1)
  t.match(kinds(), ['attempt-started', 'account-made', 'order-created'])
  t.ok(kinds().includes('attempt-succeeded'))
  t.match(certificates.figures(), { attempts: { succeeded: 1, failed: 0 }, serverLag: [{ ms: 5 }] })
  await certificates.close()
})

test('a certificate is renewed when two thirds of its lifetime are over', async (t) => {
  const { clock, main, used, engine, use } = createWorld()
  const certificates = engine()
  certificates.start(use)
  await clock.advance(59 * DAY_MS - main.lifetimeMs / 30)
  t.equal(used.length, 1)
  await clock.advance(2 * DAY_MS + main.lifetimeMs / 30)
  t.equal(used.length, 2)
  t.not(used[0]?.key, used[1]?.key, 'with a new key')
  await certificates.close()
})

test('another e-mail address is told to the account that is there; one that is refused hinders nothing', async (t) => {
  const { clock, main, engine, kinds } = createWorld()
  for (const email of [undefined, 'a@example.com', 'a@example.com', undefined, 'refused@example.com']) {
    if (email?.startsWith('refused') === true) {
      main.hinder = (call) => {
        if (call === 'changeContact') throw problemOf(MAIN, 'invalidContact')
      }
    }
    const certificates = engine({ email })
    t.match(await clock.advanceWhile(certificates.renew()), { state: 'valid', last_error: null })
    await certificates.close()
  }
  t.same(main.contacts, ['a@example.com', undefined])
  t.equal(main.calls.filter((call) => call === 'changeContact').length, 3)
  t.equal(kinds().filter((kind) => kind === 'warning').length, 1)
  t.equal(main.accounts.size, 1)
})

test('when an authority fails, a renewal waits for it until a quarter of the lifetime is left, then goes to the next', async (t) => {
  const { clock, main, used, engine, use } = createWorld()
  const certificates = engine({
    directories: [
      { name: 'main', url: MAIN },
      { name: 'other', url: OTHER },
    ],
  })
  certificates.start(use)
  await clock.advance(DAY_MS)
  main.hinder = () => Promise.reject(problemOf(MAIN, 'serverInternal', { answered: 500 }))
  await clock.advance(66 * DAY_MS)
  t.equal(used.length, 1)
  t.match(await certificates.status(), { state: 'due', certificate: { directory: MAIN } })
  await clock.advance(DAY_MS)
  t.equal(used.length, 2)
  t.match(await certificates.status(), { state: 'valid', certificate: { directory: OTHER } })
  main.hinder = () => undefined
  await clock.advance(61 * DAY_MS)
  t.match(await certificates.status(), { certificate: { directory: MAIN } }, 'and back when it is renewed')
  await certificates.close()
})

const NOW = Date.UTC(2027, 0, 1)
const issuer = await createTestIssuer()
const another = await createTestIssuer()
const names = ['ai.example.com', '*.ai.example.com']
const request = await createCertificateRequest(names)
const times = { notBefore: NOW - DAY_MS, notAfter: NOW + 89 * DAY_MS }
const good = await issuer.issue(request.csr, times)
const [leaf = '', authority = ''] = good.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n/g) ?? []
const [, foreign = ''] =
  (await another.issue(request.csr, times)).match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----\n/g) ?? []
const RSA_1024 = {
  name: 'RSASSA-PKCS1-v1_5',
  modulusLength: 1024,
  publicExponent: new Uint8Array([1, 0, 1]),
  hash: 'SHA-256',
}
const weak = await (await createTestIssuer('weak', RSA_1024)).issue(request.csr, times)
const expectation = { names, key: request.key, now: NOW, toleranceMs: 300_000, longerThan: times.notAfter - 1 }

test('a chain is accepted with a root or without, and with names to spare', async (t) => {
  for (const chain of [good, leaf, good.replaceAll('\n', '\r\n'), `subject=x\n${good}`]) {
    t.doesNotThrow(() => assertAcceptable(chain, expectation))
  }
  t.doesNotThrow(() => assertAcceptable(good, { ...expectation, names: ['ai.example.com'] }))
  t.doesNotThrow(() => assertAcceptable(good, { ...expectation, longerThan: undefined }))
  t.doesNotThrow(() => assertAcceptable(good, { ...expectation, now: times.notBefore - 299_000 }), 'clocks differ')
})

for (const [what, chain, changes, sentence] of [
  ['another key', good, { key: (await createCertificateRequest(names)).key }, /is for another key/],
  ['a missing name', good, { names: [...names, 'b.example.com'] }, /does not have b\.example\.com/],
  ['a name that only its wildcard covers', good, { names: ['x.ai.example.com'] }, /does not have x\.ai\.example\.com/],
  ["another authority's chain", leaf + foreign, {}, /does not link up/],
  ['a chain in the wrong order', authority + leaf, {}, /is for another key/],
  ['the time to come', good, { now: times.notBefore - 301_000 }, /is not valid before/],
  ['the time past', good, { now: times.notAfter }, /ended at/],
  ['an end before that of the present one', good, { longerThan: times.notAfter }, /ends before the present one/],
  ['nothing', '', {}, /is no certificate/],
  ['HTML', '<html></html>', {}, /is no certificate/],
  ['something cut off', good.slice(0, -50), {}, /comes with something else/],
  ['a private key', good + request.key, {}, /comes with something else/],
  ['broken base64', good.replace(/MII/g, 'AAA'), {}, /cannot be read/],
  ['an authority whose key is too short', weak, {}, /cannot be served/],
  ['twelve certificates', leaf + authority.repeat(11), {}, /comes with more than 10/],
] as const) {
  test(`a certificate of ${what} is refused`, async (t) => {
    t.throws(() => assertAcceptable(chain, { ...expectation, ...changes }), {
      code: 'SOAKP_ACME_CERTIFICATE',
      message: sentence,
    })
  })
}
