import type { Test } from 'tap'
import type { DnsConfiguration } from '../../services/acme-configuration.ts'
import type { Clock } from '../../services/clock.ts'
import type { DnsProvider, ProviderName } from '../../services/dns/index.ts'
import { ask } from '../../services/dns-wire/query.ts'
import { createResolver } from '../../services/dns-wire/resolver.ts'
import type { Resolver } from '../../services/dns-wire/resolver.ts'
import { smallServers } from './dns-servers.ts'
import type { SmallServer, SmallServers } from './dns-servers.ts'
import { ownAddress } from './name-server.ts'

/** A clock that goes on only by being slept on, and then at once. */
export interface TestClock extends Clock {
  /** The sleeps so far, milliseconds. */
  readonly sleeps: number[]
  /** Called at the end of each sleep with the time that has passed since the start. */
  onSleep: (passedMs: number) => void
}

/** Creates a test clock. */
export function testClock(): TestClock {
  let passedMs = 0
  const clock: TestClock = {
    sleeps: [],
    onSleep: () => undefined,
    now: () => 1_800_000_000_000 + passedMs,
    random: () => 0,
    async sleep(ms, signal) {
      signal.throwIfAborted()
      clock.sleeps.push(ms)
      passedMs += ms
      clock.onSleep(passedMs)
    },
  }
  return clock
}

/** SOAKP's own secrets as far as challenges need them, in memory; a document is copied as the vault does. */
export function memorySecrets() {
  const documents = new Map<string, string>()
  return {
    documents,
    find: async (id: string): Promise<unknown> => JSON.parse(documents.get(id) ?? 'null') ?? undefined,
    replace: async (id: string, value: object): Promise<void> => void documents.set(id, JSON.stringify(value)),
  }
}

/** The zone `example.test` on three servers, its parent, and a recursive resolver that knows the latter. */
export interface SmallInternet {
  readonly servers: SmallServers
  readonly recursive: SmallServer
  readonly top: SmallServer
  /** ns1, ns2, ns3 of `example.test`. */
  readonly zoneServers: readonly [SmallServer, SmallServer, SmallServer]
  readonly resolver: Resolver
}

/** Starts it. `records` are those of `example.test` beside its servers, `topRecords` those of `test`. */
export async function startSmallInternet(
  t: Test,
  records: readonly string[] = [],
  topRecords: readonly string[] = [],
): Promise<SmallInternet> {
  const servers = await smallServers(t)
  const hosts = ['ns1', 'ns2', 'ns3'].map((host) => ({ host, address: ownAddress() }))
  const glue = hosts.flatMap(({ host, address }) => [`example NS ${host}.example.test`, `${host}.example A ${address}`])
  const apex = hosts.flatMap(({ host, address }) => [`@ NS ${host}.example.test`, `${host} A ${address}`])
  const zone = async (index: number) =>
    servers.start({ 'example.test': [...apex, ...records] }, { address: hosts[index]?.address ?? '' })
  const zoneServers = [await zone(0), await zone(1), await zone(2)] as const
  const top = await servers.start({ test: [...glue, ...topRecords] })
  const table = ['test NS ns.nic.test', `ns.nic.test A ${top.address}`]
  const recursive = await servers.start({ '': table }, { isRecursive: true })
  const { port } = servers
  const resolver = createResolver({
    resolvers: [`${recursive.address}:${port}`],
    port,
    ask: async (server, question, options) => ask(server, question, { ...options, timeoutsMs: [150, 150, 150] }),
  })
  return { servers, recursive, top, zoneServers, resolver }
}

/** Where the challenge of `ai.example.test` is put. */
export const challengePlace = {
  domain: 'ai.example.test',
  name: '_acme-challenge.ai.example.test',
  zone: { name: 'example.test' },
  provider: 'cloudflare',
  valuesPerName: 'many',
} as const

/** A DNS configuration with what a test sets. */
export function dnsConfiguration(changes: Partial<DnsConfiguration> = {}): DnsConfiguration {
  return {
    providers: ['cloudflare'],
    credentials: {},
    resolvers: [],
    apiUrl: undefined,
    policy: 'all',
    waitMs: 60_000,
    delayMs: 120_000,
    ...changes,
  }
}

/** Opens the providers of a test in place of real ones. */
export function opening(providers: Readonly<Partial<Record<ProviderName, DnsProvider>>>) {
  return async (name: ProviderName): Promise<DnsProvider> => {
    const provider = providers[name]
    if (provider === undefined) throw new Error(`${name} is not part of this test`)
    return provider
  }
}
