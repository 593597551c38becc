import { test } from 'tap'
import { createChallenger } from '../../services/challenge/challenger.ts'
import { Secret } from '../../services/secret.ts'
import { dnsConfiguration, memorySecrets, testClock } from '../support/challenge.ts'
import { needsKnot, startDelegatedZone } from '../support/knot.ts'
import type { DelegatedZone } from '../support/knot.ts'
import { needs } from '../support/process.ts'
import { startUnbound } from '../support/unbound.ts'

const ZONE = 'soakp.test'
const skip = needsKnot() || needs('unbound')
const signal = AbortSignal.timeout(90_000)

const FOREIGN = `_acme-challenge.ai TXT "of another client"
_acme-challenge.alias CNAME elsewhere.ai
*.wild CNAME elsewhere.ai
leaf.of.empty A 127.0.0.1
`

/** A challenger that writes to the primary by RFC 2136; its clock has the servers catch up instead of passing. */
function challengerOf({ primary, following, lagging }: DelegatedZone, resolver: string) {
  const clock = testClock()
  let rounds = 0
  const sleep = clock.sleep.bind(clock)
  clock.sleep = async (ms, aborted) => {
    rounds += 1
    if (rounds === 1) await following.caughtUp(ZONE, primary)
    if (rounds === 3) await lagging.refresh(ZONE)
    await sleep(ms, aborted)
  }
  const { key, host } = primary
  return createChallenger({
    configuration: dnsConfiguration({
      providers: ['rfc2136'],
      resolvers: [resolver],
      credentials: {
        RFC2136_NAMESERVER: new Secret(host),
        RFC2136_TSIG_KEY: new Secret(key.name),
        RFC2136_TSIG_ALGORITHM: new Secret(key.algorithm),
        RFC2136_TSIG_SECRET: new Secret(key.secret),
      },
    }),
    secrets: memorySecrets(),
    clock,
  })
}

test(
  'two values of one name reach three Knots, of which one lags, and go again; unbound hears no challenge',
  { skip },
  async (t) => {
    const zone = await startDelegatedZone(t, ZONE, { records: FOREIGN })
    const unbound = await startUnbound(t, { test: zone.parent.address })
    const before = await zone.primary.records(ZONE)
    const challenger = challengerOf(zone, unbound.address)
    const place = await challenger.locate('ai.soakp.test', signal)
    t.match(place, { name: '_acme-challenge.ai.soakp.test', zone: { name: ZONE }, provider: 'rfc2136' })
    await Promise.all(['apex', 'wildcard'].map(async (value) => challenger.write(place, value, signal)))
    const report = await challenger.waitUntilServed(place, ['apex', 'wildcard'], signal)
    t.match(report, { by: 'authoritative', warnings: [] })
    t.same(
      report.servers.map(({ name, address }) => [name, address]),
      [
        ['ns1.soakp.test', zone.primary.address],
        ['ns2.soakp.test', zone.following.address],
        ['ns3.soakp.test', zone.lagging.address],
      ],
    )
    const [first, , last] = report.servers
    t.ok((last?.afterMs ?? 0) > (first?.afterMs ?? 0))
    for (const server of [zone.primary, zone.following, zone.lagging]) {
      t.same(await server.values(place.name), ['apex', 'of another client', 'wildcard'])
    }
    for (const value of ['apex', 'wildcard']) await challenger.remove(place, value, signal)
    t.same(await zone.primary.records(ZONE), before)

    const alias = await challenger.locate('alias.soakp.test', signal)
    t.equal(alias.name, 'elsewhere.ai.soakp.test')
    await challenger.write(alias, 'by alias', signal)
    await challenger.remove(alias, 'by alias', signal)
    t.match(await challenger.locate('of.empty.soakp.test', signal), { zone: { name: ZONE } })
    t.same(await zone.primary.records(ZONE), before)
    t.same([...new Set(await unbound.queries())].toSorted(), ['ns.test A', 'ns.test AAAA', 'test NS'])
    await challenger.close()
  },
)

// The provider takes a wildcard's alias for one that stands at the name.
test('a value is written beside a wildcard alias, at the name itself', { skip }, async (t) => {
  const zone = await startDelegatedZone(t, ZONE, { records: FOREIGN })
  const unbound = await startUnbound(t, { test: zone.parent.address })
  const before = await zone.primary.records(ZONE)
  const challenger = challengerOf(zone, unbound.address)
  const place = await challenger.locate('a.wild.soakp.test', signal)
  t.match(place, { name: '_acme-challenge.a.wild.soakp.test', warnings: [/only by a wildcard/] })
  await challenger.write(place, 'ours', signal)
  t.same(await zone.primary.values(place.name), ['ours'])
  await challenger.remove(place, 'ours', signal)
  t.same(await zone.primary.records(ZONE), before)
  await challenger.close()
})
