import { X509Certificate } from 'node:crypto'
import { test } from 'tap'
import type { Test } from 'tap'
import { createAcmeClient } from '../../services/acme/client.ts'
import { createCertificateRequest } from '../../services/acme/certificate-request.ts'
import type { CertificateEvent } from '../../services/certificates/index.ts'
import { createCertificates } from '../../services/certificates/manager.ts'
import { systemClock } from '../../services/clock.ts'
import { refusal, startAcmeServer } from '../support/acme-server/index.ts'
import type { AcmeServerOptions } from '../support/acme-server/index.ts'
import { beginWith, testConfiguration } from '../support/certificate-world.ts'
import { createFakeClock } from '../support/fake-clock.ts'
import { createMemoryDns } from '../support/memory-dns.ts'
import { createMemorySecrets } from '../support/memory-secrets.ts'

const NAMES = ['ai.example.com', '*.ai.example.com', 'b.example.org']

/** An engine with the real client and an authority in this process that is reached by HTTPS. */
async function start(t: Test, options: AcmeServerOptions = {}) {
  const clock = createFakeClock(Date.now())
  const dns = createMemoryDns(() => clock.now())
  const lookup = async (name: string) =>
    [...dns.records].map((each) => each.split(' ')).flatMap(([at, value = '']) => (at === name ? [value] : []))
  const server = await startAcmeServer(t, {
    now: () => clock.now(),
    random: () => clock.random(),
    lookup,
    hasTls: false,
    ...options,
  })
  const secrets = createMemorySecrets()
  const events: CertificateEvent[] = []
  const directories = [{ name: 'test', url: server.directory }]
  const configuration = { ...testConfiguration, names: NAMES, directories }
  const engine = (changes: Partial<typeof configuration> = {}) => {
    const certificates = createCertificates({
      configuration: { ...configuration, ...changes },
      secrets: secrets.live(),
      challenger: dns.challenger,
      createClient: (directory, accountKey) =>
        createAcmeClient({
          directory,
          accountKey,
          certificates: server.roots,
          clock: { ...systemClock, now: () => clock.now() },
          timeoutMs: 10_000,
        }),
      createRequest: createCertificateRequest,
      clock,
      tell: (event) => void events.push(event),
    })
    t.teardown(() => certificates.close())
    return certificates
  }
  return { clock, dns, server, events, engine }
}

test('over HTTPS a certificate is issued, renewed with what it replaces, and revoked', async (t) => {
  const { clock, dns, server, engine } = await start(t, {
    hasTls: true,
    behaviour: { badNonceShare: 0.3, isStrange: true },
  })
  const certificates = engine()
  t.match(await clock.advanceWhile(certificates.renew()), {
    state: 'valid',
    certificate: { names: NAMES.toSorted(), directory: server.directory },
  })
  t.same([...dns.records], [])
  const pair = await beginWith(certificates)
  t.ok(new X509Certificate(pair?.cert ?? '').checkHost('x.ai.example.com'))
  await clock.advanceWhile(certificates.renew())
  t.equal(server.store.certificates.length, 2)
  await clock.advanceWhile(certificates.revoke('key_compromise'))
  t.equal(server.store.certificates.length, 3)
  await clock.advanceWhile(certificates.changeAccountKeys())
  await clock.advanceWhile(certificates.renew())
  t.equal(server.store.accounts.length, 1)
})

test('slow authorizations and orders are waited for, and authorizations that hold are not proved again', async (t) => {
  const behaviour = { authorizationReads: 3, orderReads: 3, retryAfterSeconds: 7, reusesAuthorizations: true }
  const { clock, dns, engine } = await start(t, { behaviour })
  const certificates = engine()
  const begun = clock.now()
  await clock.advanceWhile(certificates.renew())
  t.ok(clock.now() - begun >= 6 * 7_000, 'Retry-After is heeded')
  const writes = dns.calls.length
  await clock.advanceWhile(certificates.renew())
  t.equal(dns.calls.length, writes, 'nothing is written the second time')
})

for (const endpoint of ['newOrder', 'finalize', 'order', 'authorization', 'certificate'] as const) {
  test(`a 500 from ${endpoint} ends the attempt at most, and the next one brings the same order to its end`, async (t) => {
    const { clock, dns, server, events, engine } = await start(t)
    server.fail(endpoint, refusal('serverInternal', { status: 500 }))
    const certificates = engine()
    certificates.start(async () => undefined)
    await clock.advanceUntil(() => server.store.certificates.length > 0 && dns.records.size === 0, 3_600_000)
    await clock.advance(600_000)
    t.match(await certificates.status(), { state: 'valid' })
    t.equal(server.store.orders.length, 1)
    t.same([...dns.records], [])
    const failures = events.filter(({ kind }) => kind === 'attempt-failed').length
    t.equal(failures, endpoint === 'order' ? 0 : 1, 'what is asked again and again may fail once')
  })
}

test('a limit of the authority is kept to, whatever it is about', async (t) => {
  for (const endpoint of ['newAccount', 'newOrder', 'finalize'] as const) {
    const { clock, server, engine } = await start(t)
    server.fail(endpoint, refusal('rateLimited', { status: 429, retryAfter: 7200 }), { times: 99 })
    const certificates = engine()
    certificates.start(async () => undefined)
    await clock.advance(7_000_000)
    t.equal(server.count(endpoint), 1, endpoint)
    server.heal()
    await clock.advance(600_000)
    t.match(await certificates.status(), { state: 'valid' })
    t.equal(server.store.orders.length, 1)
  }
})

test('an authority that does not come to a decision is left alone after some minutes, and its order goes on later', async (t) => {
  for (const behaviour of [
    { authorizationReads: 1e6 },
    { orderReads: 1e6 },
    { orderReads: 1e6, retryAfterSeconds: 86_400 },
  ]) {
    const { clock, dns, server, engine } = await start(t, { behaviour })
    const certificates = engine()
    const begun = clock.now()
    await t.rejects(clock.advanceWhile(certificates.renew()), {
      code: 'SOAKP_ACME_UNREACHABLE',
      message: /within (?:five|ten)/,
    })
    t.ok(clock.now() - begun < 12 * 60_000)
    t.same([...dns.records], [])
    Object.assign(server.behaviour, { authorizationReads: 0, orderReads: 0, retryAfterSeconds: undefined })
    for (const each of [...server.store.orders, ...server.store.authorizations]) each.readsLeft = 0
    await clock.advanceWhile(certificates.renew())
    t.equal(server.store.orders.length, 1)
    await certificates.close()
  }
})
