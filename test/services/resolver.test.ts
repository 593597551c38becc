import { test } from 'tap'
import type { Test } from 'tap'
import { NoAnswer } from '../../services/dns-wire/query-socket.ts'
import { ask } from '../../services/dns-wire/query.ts'
import type { Ask } from '../../services/dns-wire/query.ts'
import { createResolver } from '../../services/dns-wire/resolver.ts'
import type { Resolver } from '../../services/dns-wire/resolver.ts'
import { smallServers } from '../support/dns-servers.ts'
import type { SmallServer, SmallServers } from '../support/dns-servers.ts'
import { ownAddress } from '../support/name-server.ts'

interface Internet {
  readonly servers: SmallServers
  readonly recursive: SmallServer
  readonly top: SmallServer
  readonly resolver: Resolver
}

/** A top-level domain `test` with what it holds, and a recursive resolver that knows its server and these hosts. */
async function internet(t: Test, top: readonly string[], hosts: readonly string[] = []): Promise<Internet> {
  const servers = await smallServers(t)
  const topServer = await servers.start({ test: top })
  const table = ['test NS ns.nic.test', `ns.nic.test A ${topServer.address}`, ...hosts]
  const recursive = await servers.start({ '': table }, { isRecursive: true })
  return { servers, recursive, top: topServer, resolver: resolverOf(servers, recursive) }
}

/** A resolver that does not wait long for the silent. */
function resolverOf({ port }: SmallServers, recursive: SmallServer, wire: Ask = ask): Resolver {
  const hasty: Ask = async (server, question, options) =>
    wire(server, question, { ...options, timeoutsMs: [150, 150, 150] })
  return createResolver({ resolvers: [`${recursive.address}:${port}`], port, ask: hasty })
}

const options = () => ({ signal: AbortSignal.timeout(30_000) })

test('the servers are those of the delegation and of the apex, and a difference is told', async (t) => {
  const [ns1, ns2, ns3] = [ownAddress(), ownAddress(), ownAddress()]
  const { servers, resolver } = await internet(t, [
    'example NS ns1.example.test',
    'example NS ns2.example.test',
    `ns1.example A ${ns1}`,
    `ns2.example A ${ns2}`,
  ])
  const zones = {
    'example.test': ['@ NS ns1.example.test', '@ NS ns3.example.test', `ns1 A ${ns1}`, `ns2 A ${ns2}`, `ns3 A ${ns3}`],
  }
  for (const address of [ns1, ns2, ns3]) await servers.start(zones, { address })
  const set = await resolver.serversOf('_acme-challenge.ai.example.test', options())
  t.same(set.servers, [
    { name: 'ns1.example.test', address: ns1, state: 'authoritative' },
    { name: 'ns2.example.test', address: ns2, state: 'authoritative' },
    { name: 'ns3.example.test', address: ns3, state: 'authoritative' },
  ])
  t.same(set.warnings, [
    'ns2.example.test is delegated to, but `example.test` does not name it.',
    'ns3.example.test is named by `example.test`, but not delegated to.',
  ])
})

test('the zone is found below a public suffix, in a sub-zone, at an empty name and where there is no name', async (t) => {
  const { servers, top, resolver } = await internet(t, [])
  const shop = await servers.start({})
  const sub = await servers.start({ 'sub.shop.co.test': ['@ NS ns.sub.shop.co.test'] })
  top.zones = {
    test: ['badshop NS ns.badshop.test', `ns.badshop A ${shop.address}`],
    // On the servers of its parent, as co.uk is.
    'co.test': ['shop NS ns.shop.co.test', `ns.shop A ${shop.address}`],
  }
  shop.zones = {
    'shop.co.test': [
      '@ NS ns.shop.co.test',
      'deep.ent TXT here',
      'sub NS ns.sub.shop.co.test',
      `ns.sub A ${sub.address}`,
      'www CNAME elsewhere.test',
    ],
    'here.shop.co.test': ['@ NS ns.shop.co.test'],
    'badshop.test': ['@ NS ns.badshop.test'],
  }
  const zoneOf = async (name: string) => (await resolver.find(name, options())).zone.name
  t.equal(await zoneOf('_acme-challenge.ai.shop.co.test'), 'shop.co.test', 'a name that does not exist')
  t.equal(await zoneOf('shop.co.test'), 'shop.co.test')
  t.equal(await zoneOf('ent.shop.co.test'), 'shop.co.test', 'an empty non-terminal')
  t.equal(await zoneOf('_acme-challenge.sub.shop.co.test'), 'sub.shop.co.test', 'a zone on other servers')
  t.equal(await zoneOf('_acme-challenge.here.shop.co.test'), 'here.shop.co.test', 'a zone on the same servers')
  t.equal(await zoneOf('_acme-challenge.badshop.test'), 'badshop.test')
  t.match(
    await resolver.find('_acme-challenge.www.shop.co.test', options()),
    { zone: { name: 'shop.co.test' }, alias: undefined },
    'a name below an alias is none',
  )
  t.match(await resolver.find('www.shop.co.test', options()), { alias: 'elsewhere.test' })
})

test('servers in another zone are looked up by the recursive resolver, which hears nothing else', async (t) => {
  const [address, other] = [ownAddress(), ownAddress()]
  const { servers, recursive, resolver } = await internet(
    t,
    ['example NS ns.hoster.test', 'hoster NS ns.hoster.test', `ns.hoster A ${address}`],
    [`ns.hoster.test A ${other}`],
  )
  for (const each of [address, other])
    await servers.start({ 'example.test': ['@ NS ns.hoster.test'] }, { address: each })
  const set = await resolver.serversOf('_acme-challenge.example.test', { ...options(), hidden: 'example.test' })
  t.same(
    set.servers.map(({ address: each }) => each),
    [address, other],
    'glue and what is looked up',
  )
  t.same([...new Set(recursive.queries)].toSorted(), [
    'ns.hoster.test A',
    'ns.hoster.test AAAA',
    'ns.nic.test A',
    'ns.nic.test AAAA',
    'test NS',
  ])
})

test('lame, refusing and unreachable servers are named with what is wrong', async (t) => {
  const hosts = ['good', 'lame', 'refusing', 'silent']
  const { servers, top, resolver } = await internet(t, [])
  const started = new Map<string, SmallServer>()
  for (const host of hosts) started.set(host, await servers.start({}))
  const glue = [...started].map(([host, { address }]) => `${host}.example A ${address}`)
  top.zones = { test: [...hosts, 'homeless'].map((host) => `example NS ${host}.example.test`).concat(glue) }
  const apex = [...hosts, 'homeless'].map((host) => `@ NS ${host}.example.test`)
  const own = [...started].map(([host, { address }]) => `${host} A ${address}`)
  for (const server of started.values()) server.zones = { 'example.test': [...apex, ...own] }
  for (const [host, behaviour] of [
    ['lame', 'lame'],
    ['refusing', 'refuses'],
    ['silent', 'silent'],
  ] as const) {
    const server = started.get(host)
    if (server !== undefined) server.behaviour = behaviour
  }
  const { warnings } = await resolver.serversOf('_acme-challenge.example.test', options())
  const at = (host: string) => `${host}.example.test (${started.get(host)?.address})`
  t.same(warnings, [
    'homeless.example.test, a server of `example.test`, has no address.',
    `${at('lame')} is not authoritative for \`example.test\`.`,
    `${at('refusing')} answers REFUSED.`,
    `${at('silent')} does not answer.`,
  ])
})

test('nobody who answers is told as such: unreachable, lame, or something else in the place of the top servers', async (t) => {
  const address = ownAddress()
  const { servers, top, recursive, resolver } = await internet(t, [
    'example NS ns.example.test',
    `ns.example A ${address}`,
  ])
  const server = await servers.start({ 'example.test': ['@ NS ns.example.test'] }, { address })
  const find = async () => resolver.find('_acme-challenge.example.test', options())
  server.behaviour = 'silent'
  await t.rejects(find(), {
    code: 'SOAKP_DNS_UNREACHABLE',
    message: new RegExp(`ns\\.example\\.test \\(${address}\\)`),
  })
  server.behaviour = 'lame'
  await t.rejects(find(), { code: 'SOAKP_DNS_LAME', message: /is not authoritative for `example.test`/ })
  top.behaviour = 'lame'
  top.zones = { 'example.test': [] }
  top.queries.length = 0
  await t.rejects(find(), { code: 'SOAKP_DNS_UNREACHABLE' })
  t.notOk(
    top.queries.some((query) => query.startsWith('_acme-challenge')),
    'it was not told the name',
  )
  recursive.behaviour = 'refuses'
  await t.rejects(find(), { code: 'SOAKP_DNS_UNREACHABLE', message: /answers REFUSED.*SOAKP_DNS_RESOLVERS/ })
})

test('zones whose servers are in each other, without glue, end in an error after few questions', async (t) => {
  const { top, recursive, resolver } = await internet(t, [
    'one NS ns1.two.test',
    'one NS ns2.two.test',
    'two NS ns1.one.test',
    'two NS ns2.one.test',
  ])
  const hidden = 'test'
  await t.rejects(resolver.find('a.one.test', { ...options(), hidden: 'two.test' }), { code: 'SOAKP_DNS_UNREACHABLE' })
  t.ok(top.queries.length < 60, `${top.queries.length} questions`)
  t.notOk(
    recursive.queries.some((query) => query.includes('two.test')),
    'what is hidden is not told',
  )
  await t.rejects(resolver.find('a.test', { ...options(), hidden }), {
    code: 'SOAKP_DNS_UNREACHABLE',
    message: /know no name servers/,
  })
})

test('glue for names outside of the zone that gives it is not believed', async (t) => {
  const [real, forged] = [ownAddress(), ownAddress()]
  const { servers, recursive, resolver } = await internet(
    t,
    ['example NS ns.example.test', `ns.example A ${real}`],
    [`ns.other.org A ${real}`],
  )
  await servers.start({ 'example.test': ['sub NS ns.other.org', `ns.other.org. A ${forged}`] }, { address: real })
  const evil = await servers.start({ 'sub.example.test': [] }, { address: forged })
  await t.rejects(resolver.find('x.sub.example.test', options()))
  t.same(evil.queries, [])
  t.ok(recursive.queries.includes('ns.other.org A'))
})

test('addresses that this machine has no route to are left out with a warning', async (t) => {
  const address = ownAddress()
  const { servers, recursive } = await internet(t, [
    'example NS ns.example.test',
    `ns.example A ${address}`,
    'ns.example AAAA 2001:db8::1',
  ])
  await servers.start({ 'example.test': ['@ NS ns.example.test', `ns A ${address}`] }, { address })
  const withoutIpv6: Ask = async (server, question, rest) => {
    if (!server.address.includes(':')) return ask(server, question, rest)
    throw new NoAnswer(server, 'cannot be reached', Object.assign(new Error('no'), { code: 'ENETUNREACH' }))
  }
  const set = await resolverOf(servers, recursive, withoutIpv6).serversOf('example.test', options())
  t.same(set.servers, [{ name: 'ns.example.test', address, state: 'authoritative' }])
  const warning = 'This machine seems to have no IPv6: the IPv6 addresses of ns.example.test are not asked.'
  t.same(set.warnings, [warning])
  const deadIpv6: Ask = async (server, question, rest) => {
    if (!server.address.includes(':')) return ask(server, question, rest)
    throw new NoAnswer(server, 'does not answer')
  }
  const dead = await resolverOf(servers, recursive, deadIpv6).serversOf('example.test', options())
  t.same([dead.servers, dead.warnings], [set.servers, [warning]], 'a family of which nothing answers counts as none')
})

test('a search ends at once when it is aborted', async (t) => {
  const { top, resolver } = await internet(t, [])
  top.behaviour = 'silent'
  const controller = new AbortController()
  const found = resolver.find('example.test', { signal: controller.signal })
  controller.abort(new Error('stop'))
  await t.rejects(found, { message: 'stop' })
})
