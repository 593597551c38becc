import { X509Certificate } from 'node:crypto'
import tap, { test } from 'tap'
import type { Test } from 'tap'
import { createRecords } from '../services/certificates/records.ts'
import { chainFor, follow, isUsed } from './support/acme-soakp.ts'
import { DOMAIN, ZONE, startWorld, worldIsMissing } from './support/acme-world.ts'
import { startSoakp, temporaryFolder } from './support/soakp.ts'

// They wait more than they work: side by side they take half the time.
tap.jobs = 4
const skip = worldIsMissing
const HMAC = 'zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W'
const DAY_SECONDS = 86_400

test(
  'a certificate is got under an external account, with every third nonce refused',
  { skip, buffered: true },
  async (t) => {
    const world = await startWorld(t, {
      pebble: {
        externalAccounts: { 'kid-1': HMAC },
        badNoncePercent: 30,
        alternateRoots: 1,
        chainLength: 3,
        strict: true,
        retryAfterSeconds: { authorization: 1, order: 1 },
      },
    })
    const before = await world.primary.records(ZONE)
    const soakp = await startSoakp(t, {
      ...world.environment,
      SOAKP_ACME_EAB_KID: 'kid-1',
      SOAKP_ACME_EAB_HMAC: HMAC,
      SOAKP_ACME_EMAIL: 'admin@soakp.test',
    })
    await follow(soakp).until('it is used', isUsed)
    const chain = await chainFor(soakp.port, DOMAIN, await world.pebble.root())
    t.equal(chain.length, 5, 'leaf, three intermediates and the root, which the client has')
    t.same(await world.primary.records(ZONE), before)
    t.match(world.pebble.log().join('\n'), 'Successful newAccount Binding with CA using kid "kid-1"')
  },
)

test('what an authority wants and did not get is said in words', { skip, buffered: true }, async (t) => {
  const world = await startWorld(t, { pebble: { externalAccounts: { 'kid-1': HMAC } } })
  const soakp = await startSoakp(t, world.environment)
  const { last_error: error } = await follow(soakp).until('it fails', ({ last_error: last }) => last !== null)
  t.match(error, { message: /SOAKP_ACME_EAB_KID/ })
  t.match(await follow(soakp).ready(), { status: 'degraded' })
})

test(
  'the first profile that the authority has is ordered, and renewed when the authority says so',
  { skip, buffered: true },
  async (t) => {
    const [classic, tlsserver] = [{ validitySeconds: 90 * DAY_SECONDS }, { validitySeconds: 45 * DAY_SECONDS }]
    const world = await startWorld(t, { pebble: { profiles: { classic, tlsserver } } })
    if (world.pebble.version === 'debian') {
      t.comment('left out: this Pebble is of Debian and has neither profiles nor renewal information')
      return
    }
    const SOAKP_DATA_DIR = await temporaryFolder(t)
    const environment = { ...world.environment, SOAKP_DATA_DIR, SOAKP_ACME_PROFILE: 'shortlived,tlsserver,classic' }
    const first = await startSoakp(t, environment)
    const { certificate } = await follow(first).until('it is used', isUsed)
    t.match(certificate, { profile: 'tlsserver' })
    t.equal(Math.round(((certificate?.not_after ?? 0) - (certificate?.not_before ?? 0)) / DAY_SECONDS), 45)
    const planned = await follow(first).until('it has asked', ({ next_renewal: next }) =>
      / asks /.test(next?.reason ?? ''),
    )
    t.ok((planned.next_renewal?.at ?? 0) > Date.now() / 1000 + 25 * DAY_SECONDS)
    const [leaf] = await chainFor(first.port, DOMAIN, await world.pebble.root())
    await first.app.close()

    await world.pebble.forceRenewalInfo(new X509Certificate(leaf?.raw ?? '').toString(), {
      suggestedWindow: { start: '2026-01-01T00:00:00Z', end: '2026-01-02T00:00:00Z' },
      explanationURL: 'https://ca.test/incident',
    })
    await letTimePass(t, SOAKP_DATA_DIR, DAY_SECONDS * 1000)
    const second = await startSoakp(t, environment)
    const isRenewed = ({ certificate: now }: { certificate: typeof certificate }) => now?.serial !== certificate?.serial
    const renewed = await follow(second).until('another is used', (status) => isRenewed(status) && isUsed(status))
    t.match(renewed.timeline.map(({ message }) => message).join('\n'), 'https://ca.test/incident')
    const log = world.pebble.log().join('\n')
    t.match(log, /ARI: order "\S+" is a replacement of "\S+"/)
    t.match(log, /has been marked as replaced in the DB/)
    const [next] = await chainFor(second.port, DOMAIN, await world.pebble.root())
    t.not(next?.serialNumber, leaf?.serialNumber)
  },
)

/** Makes the stored certificate older than it is: the authority was asked, and gave it, so long ago. */
async function letTimePass(t: Test, SOAKP_DATA_DIR: string, ms: number): Promise<void> {
  const { app } = await startSoakp(t, { SOAKP_DATA_DIR, SOAKP_TLS: 'off' })
  const records = createRecords(app.unsealed.secrets)
  const stored = await records.readCertificate()
  if (stored === undefined) throw new Error('no certificate is stored')
  const { issuedAt, windowAgainAt } = stored
  await records.writeCertificate({ ...stored, issuedAt: issuedAt - ms, windowAgainAt: windowAgainAt - ms })
  await app.close()
}
