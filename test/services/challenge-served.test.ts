import { test } from 'tap'
import type { DnsConfiguration } from '../../services/acme-configuration.ts'
import { waitUntilServed } from '../../services/challenge/served.ts'
import type { DnsProvider } from '../../services/dns/index.ts'
import { challengePlace, dnsConfiguration, startSmallInternet, testClock } from '../support/challenge.ts'
import type { SmallInternet, TestClock } from '../support/challenge.ts'
import type { SmallServer } from '../support/dns-servers.ts'
import { createSampleAccount, sampleProviders } from '../support/sample-dns-providers.ts'

const place = challengePlace
const NAME = place.name
const plain = sampleProviders.append(createSampleAccount({ 'example.test': [] }))

function serve(server: SmallServer, ...values: readonly string[]): void {
  const others = (server.zones['example.test'] ?? []).filter((line) => !line.startsWith('_acme-challenge.ai '))
  server.zones = { 'example.test': [...others, ...values.map((value) => `_acme-challenge.ai TXT ${value}`)] }
}

async function wait(
  { resolver }: SmallInternet,
  clock: TestClock,
  changes: Partial<DnsConfiguration> = {},
  {
    values = ['one', 'two'],
    provider = plain,
    signal = AbortSignal.timeout(60_000),
  }: {
    values?: readonly string[]
    provider?: DnsProvider
    signal?: AbortSignal
  } = {},
) {
  const options = { resolver, clock, configuration: dnsConfiguration(changes) }
  return waitUntilServed(options, { place, values, provider }, signal)
}

const asked = (server: SmallServer) => server.queries.filter((query) => query === `${NAME} TXT`).length

test('every server has to answer all values twice, however long one lags, and no resolver is asked', async (t) => {
  const internet = await startSmallInternet(t)
  const [ns1, ns2, ns3] = internet.zoneServers
  serve(ns1, 'one', 'two', 'other')
  serve(ns2, 'one')
  const clock = testClock()
  clock.onSleep = (passedMs) => {
    if (passedMs >= 3000) serve(ns2, 'two', 'one')
    if (passedMs >= 20_000) serve(ns3, 'one', 'two')
  }
  const report = await wait(internet, clock)
  t.equal(report.by, 'authoritative')
  t.same(report.warnings, [])
  const [first, second, third] = report.servers
  t.match(first, { name: 'ns1.example.test', address: ns1.address, afterMs: 0 })
  t.ok((second?.afterMs ?? 0) >= 3000)
  t.ok((third?.afterMs ?? 0) >= 20_000)
  t.ok(report.waitedMs > (third?.afterMs ?? 0), 'once more after that')
  t.equal(asked(ns3), asked(ns1), 'all are asked in every round')
  t.same(clock.sleeps.slice(0, 4), [500, 750, 1125, 1687.5], 'pauses grow')
  t.equal(Math.max(...clock.sleeps), 5000)
  t.notOk(internet.recursive.queries.some((query) => query.includes('example.test')))
})

test('a server that loses a value again begins anew', async (t) => {
  const internet = await startSmallInternet(t)
  for (const server of internet.zoneServers) serve(server, 'one', 'two')
  const clock = testClock()
  const [, , ns3] = internet.zoneServers
  let round = 1
  clock.onSleep = () => {
    round += 1
    serve(ns3, 'one', ...(round === 2 ? [] : ['two']))
  }
  await wait(internet, clock)
  t.equal(asked(ns3), 4)
})

test('a wait that ends in vain names the servers and what each says', async (t) => {
  const internet = await startSmallInternet(t)
  const [ns1, ns2, ns3] = internet.zoneServers
  serve(ns1, 'one', 'two')
  serve(ns2, 'one', 'x')
  const failing = wait(internet, testClock(), { waitMs: 10_000 })
  await t.rejects(failing, { code: 'SOAKP_DNS_NOT_SERVED', statusCode: 502 })
  const { message } = await failing.then(
    () => new Error(),
    (error: Error) => error,
  )
  t.match(message, `ns2.example.test (${ns2.address}) misses 1 of 2, with 2 at the name`)
  t.match(message, `ns3.example.test (${ns3.address}) knows no such name`)
  t.notMatch(message, 'ns1.example.test')
})

test('a server without authority does not count, and quorum lets more than half be enough', async (t) => {
  const internet = await startSmallInternet(t)
  const [, , ns3] = internet.zoneServers
  for (const server of internet.zoneServers) serve(server, 'one', 'two')
  ns3.behaviour = 'lame'
  await t.rejects(wait(internet, testClock(), { waitMs: 2000 }), /ns3.example.test .* is not authoritative/)
  const report = await wait(internet, testClock(), { policy: 'quorum' })
  t.match(report.servers, [{ afterMs: 0 }, { afterMs: 0 }, { afterMs: null }])
  t.match(report.warnings, [/ns3.example.test .* is not authoritative for `example.test`/])
  ns3.behaviour = 'answers'
  serve(internet.zoneServers[1])
  serve(ns3)
  await t.rejects(wait(internet, testClock(), { policy: 'quorum', waitMs: 2000 }), { code: 'SOAKP_DNS_NOT_SERVED' })
})

test('where port 53 is closed the provider is believed, or time has to do, and both are told', async (t) => {
  const internet = await startSmallInternet(t)
  internet.recursive.behaviour = 'refuses'
  const clock = testClock()
  const byTime = await wait(internet, clock, { delayMs: 90_000 })
  t.match(byTime, { by: 'delay', waitedMs: 95_000, servers: [] })
  t.match(byTime.warnings, [/port 53 seems closed.*waited 90 s/])
  const settled: string[] = []
  const provider = { ...plain, settle: async ({ name }: { name: string }) => void settled.push(name) }
  const byProvider = await wait(internet, clock, {}, { provider })
  t.match(byProvider, { by: 'provider', warnings: [/cloudflare's word/] })
  t.same(settled, ['example.test'])
})

test('where the servers of the zone alone are silent the fall-back is taken too', async (t) => {
  const internet = await startSmallInternet(t)
  const { resolver } = internet
  const servers = internet.zoneServers
  const clock = testClock()
  const silent = {
    ...internet,
    resolver: {
      ...resolver,
      serversOf: async (...rest: Parameters<typeof resolver.serversOf>) => {
        const set = await resolver.serversOf(...rest)
        for (const server of servers) server.behaviour = 'silent'
        return set
      },
    },
  }
  t.match(await wait(silent, clock, { delayMs: 1000 }), { by: 'delay', servers: [{ afterMs: null }, {}, {}] })
})

test('servers that do not answer for their zone yet get as long as the wait, and no servers at all are none', async (t) => {
  const internet = await startSmallInternet(t)
  for (const server of internet.zoneServers) {
    serve(server, 'one', 'two')
    server.behaviour = 'refuses'
  }
  const clock = testClock()
  clock.onSleep = (passedMs) => {
    for (const server of internet.zoneServers) if (passedMs >= 10_000) server.behaviour = 'answers'
  }
  t.match(await wait(internet, clock), { by: 'authoritative', servers: [{ afterMs: 10_000 }, {}, {}] })
  for (const server of internet.zoneServers) server.behaviour = 'fails'
  await t.rejects(wait(internet, testClock(), { waitMs: 10_000 }), { code: 'SOAKP_DNS_LAME' })
  const none = { zone: 'example.test', servers: [], warnings: [] }
  const blind = { ...internet, resolver: { ...internet.resolver, serversOf: async () => none } }
  t.match(await wait(blind, testClock()), { by: 'delay', waitedMs: 120_000 })
})

test('a wait ends at once when it is aborted', async (t) => {
  const internet = await startSmallInternet(t)
  const controller = new AbortController()
  const clock = testClock()
  clock.onSleep = () => controller.abort(new Error('stop'))
  await t.rejects(wait(internet, clock, {}, { signal: controller.signal }), { message: 'stop' })
})
