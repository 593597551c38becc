import tap, { test } from 'tap'
import type { Test } from 'tap'
import { createRecords } from '../services/certificates/records.ts'
import type { CertificateRecord } from '../services/certificates/records.ts'
import { createLocalAuthority, issueLocalCertificate } from '../services/local-authority.ts'
import { chainFor, follow, isUsed, openaiAt } from './support/acme-soakp.ts'
import { DOMAIN, ZONE, startLaggingWorld, startWorld, worldIsMissing } from './support/acme-world.ts'
import type { AcmeWorld } from './support/acme-world.ts'
import { eventuallyTrue } from './support/eventually-answers.ts'
import { startSoakp, temporaryFolder } from './support/soakp.ts'

// They wait more than they work: side by side they take half the time.
tap.jobs = 4
const skip = worldIsMissing
const NAMES = [DOMAIN, `*.${DOMAIN}`]
const CHALLENGE = `_acme-challenge.${DOMAIN}`
const DAY_MS = 86_400_000

/** How often the authority has done something since its start. */
function count({ pebble }: AcmeWorld, what: RegExp): number {
  return pebble.log().filter((line) => what.test(line)).length
}
const ORDERED = /\/order-plz -> calling/
const TOLD = /\/chalZ\/ -> calling/
const FAILED = /set INVALID/

test(
  'of three name servers one lags, and the authority looks at all of them',
  { skip, buffered: true },
  async (suite) => {
    const world = await startLaggingWorld(suite)
    const SOAKP_DATA_DIR = await temporaryFolder(suite)
    const root = await world.pebble.root()

    await suite.test('a certificate is got once the slowest has the records, and used at once', async (t) => {
      const [records, serial] = [await world.primary.records(ZONE), await world.primary.serial(ZONE)]
      const foreign = await world.primary.values(CHALLENGE)
      const soakp = await startSoakp(t, { ...world.environment, SOAKP_DATA_DIR })
      const { ready, status, until, saveKey } = follow(soakp)

      await until('it waits for the servers', ({ running }) => running?.phase === 'wait')
      t.match(await ready(), { status: 'degraded', reasons: [/local authority/] })
      t.match(await status(), { serving: 'local', state: 'missing', certificate: null })
      await eventuallyTrue('two servers have all', async () => (await world.following.values(CHALLENGE)).length === 3)
      t.same(await world.lagging.values(CHALLENGE), foreign)
      t.equal(count(world, TOLD), 0, 'the authority is not told')

      await world.lagging.refresh(ZONE)
      await until('the certificate is used', isUsed)
      const [leaf] = await chainFor(soakp.port, `any.${DOMAIN}`, root)
      t.equal(leaf?.subjectaltname, `DNS:${DOMAIN}, DNS:*.${DOMAIN}`)
      t.same(await ready(), { status: 'ready' })
      t.equal(count(world, FAILED), 0)
      t.same(
        await world.primary.records(ZONE),
        records,
        'what belongs to others is as it was, and nothing else is there',
      )
      t.ok((await world.primary.serial(ZONE)) > serial)
      const asked = await world.resolver.queries()
      t.notOk(
        asked.some((query) => query.includes('_acme-challenge')),
        'no resolver was asked for what was not there yet',
      )

      const { data } = await openaiAt(t, soakp.port, root, await saveKey()).models.list()
      t.ok(data.length > 0, 'the official SDK calls it by its name')
    })

    await suite.test('the next start serves it at once and orders nothing', async (t) => {
      const soakp = await startSoakp(t, { ...world.environment, SOAKP_DATA_DIR })
      await chainFor(soakp.port, DOMAIN, root)
      t.same(await follow(soakp).ready(), { status: 'ready' })
      await follow(soakp).until('the renewal is planned', ({ next_renewal: next }) => next !== null)
      t.equal(count(world, ORDERED), 1)
    })
  },
)

for (const { what, daysAgo, served, ready } of [
  { what: 'has expired', daysAgo: 100, served: 'CERT_HAS_EXPIRED', ready: 'degraded' },
  { what: 'expires soon', daysAgo: 85, served: undefined, ready: 'ready' },
]) {
  test(
    `a stored certificate that ${what} is served until another is got, at once`,
    { skip, buffered: true },
    async (t) => {
      const world = await startWorld(t)
      const SOAKP_DATA_DIR = await temporaryFolder(t)
      const oldRoot = await store(t, world, SOAKP_DATA_DIR, daysAgo)
      world.primary.pause()
      const soakp = await startSoakp(t, { ...world.environment, SOAKP_DATA_DIR })
      const error: unknown = await chainFor(soakp.port, DOMAIN, oldRoot).then(
        () => undefined,
        (reason: NodeJS.ErrnoException) => reason.code,
      )
      t.equal(error, served)
      t.match(await follow(soakp).ready(), { status: ready })
      world.primary.resume()
      await follow(soakp).until('another is used', (status) => status.state === 'valid' && isUsed(status))
      await chainFor(soakp.port, DOMAIN, await world.pebble.root())
      t.same(await follow(soakp).ready(), { status: 'ready' })
      t.equal(count(world, FAILED), 0)
    },
  )
}

/** Stores a certificate of some days ago as if it had been got before, and returns the root that it is from. */
async function store(t: Test, { pebble }: AcmeWorld, SOAKP_DATA_DIR: string, daysAgo: number): Promise<string> {
  const { app } = await startSoakp(t, { SOAKP_DATA_DIR, SOAKP_TLS: 'off' })
  const at = Date.now() - daysAgo * DAY_MS
  const authority = await createLocalAuthority(new Date(at))
  const { certificatePem, privateKeyPem } = await issueLocalCertificate(authority, NAMES, new Date(at))
  const record: CertificateRecord = {
    certificate: certificatePem,
    key: privateKeyPem,
    names: NAMES,
    directory: pebble.directory,
    account: 'https://another.test/account',
    profile: null,
    issuedAt: at,
    revokedAt: null,
    jitter: 0,
    window: null,
    windowAgainAt: 0,
  }
  await createRecords(app.unsealed.secrets).writeCertificate(record)
  await app.close()
  return authority.certificatePem
}

test('a challenge that is delegated by CNAME is proved in the other zone', { skip, buffered: true }, async (t) => {
  const world = await startWorld(t, {
    records: '_acme-challenge.wiki CNAME wiki.proofs.test.\n',
    beside: { 'proofs.test': '@ NS ns1.soakp.test.\nwiki TXT "of-another-client"\n' },
  })
  const zones = async () => [await world.primary.records(ZONE), await world.primary.records('proofs.test')]
  const before = await zones()
  const soakp = await startSoakp(t, { ...world.environment, SOAKP_DOMAIN: `wiki.${ZONE},*.wiki.${ZONE}` })
  const { timeline } = await follow(soakp).until('it is used', isUsed)
  await chainFor(soakp.port, `wiki.${ZONE}`, await world.pebble.root())
  const written = timeline.filter(({ kind }) => kind === 'record-written')
  t.equal(written.length, 2)
  for (const { message } of written) t.match(message, 'wiki.proofs.test')
  t.same(await zones(), before)
})
