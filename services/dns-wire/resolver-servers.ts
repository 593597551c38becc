import { targetsOf } from './query-answer.ts'
import type { Descent, FoundName, SearchOptions } from './resolver-descent.ts'
import { MAXIMUM_SERVERS } from './resolver-descent.ts'
import type { AskedServer } from './resolver-families.ts'
import { splitByFamily } from './resolver-families.ts'
import type { AskAddress, HostAddress, Verdict } from './resolver-zone.ts'
import { consult } from './resolver-zone.ts'

/** An address of a zone's server and how it was met. */
export interface MetServer extends HostAddress {
  readonly state: 'authoritative' | 'lame' | 'silent'
}

/** All addresses of all servers of a zone that can be asked from here. */
export interface ServerSet {
  readonly zone: string
  readonly servers: readonly MetServer[]
  /** Sentences about servers that do not answer, do not answer for the zone, or are not named by both sides. */
  readonly warnings: readonly string[]
}

/** How many addresses are dealt with at most. */
const MAXIMUM_ADDRESSES = 48

/**
 * Finds every address of every server of a zone: those that the parent delegates to and those that the zone itself
 * names, by glue and by looking up both families. Each is asked once, so that what is wrong with it is known.
 */
export async function findServers(
  descent: Descent,
  ask: AskAddress,
  { zone, trail }: Pick<FoundName, 'zone' | 'trail'>,
  options: SearchOptions,
): Promise<ServerSet> {
  const met = new Map<string, AskedServer>()
  const homeless = new Set<string>()
  const named = new Set<string>()
  let excess = false
  const question = { name: zone.name, type: 'NS' } as const

  async function meet(servers: readonly HostAddress[]): Promise<void> {
    const fresh = new Map(servers.map((server) => [`${server.name} ${server.address}`, server]))
    for (const key of met.keys()) fresh.delete(key)
    const room = MAXIMUM_ADDRESSES - met.size
    if (fresh.size > room) excess = true
    await Promise.all(
      [...fresh].slice(0, room).map(async ([key, server]) => {
        const verdict = await consult(ask, zone.name, server, question, options.signal)
        met.set(key, { ...server, verdict })
        if (verdict.kind !== 'authoritative') return
        const hosts = targetsOf(verdict.answer.answers, 'NS', zone.name)
        for (const host of hosts.slice(0, MAXIMUM_SERVERS - named.size)) named.add(host)
      }),
    )
  }

  async function addressesOf(hosts: Iterable<string>): Promise<HostAddress[]> {
    const found = await Promise.all(
      [...hosts].map(async (host) => {
        const addresses = await descent.addressesOf(host, trail, options)
        const isKnown = addresses.length > 0 || zone.servers.some(({ name }) => name === host)
        if (!isKnown) homeless.add(host)
        return addresses
      }),
    )
    return found.flat()
  }

  await meet([...zone.servers, ...(await addressesOf(zone.delegation))])
  const delegated = new Set(zone.delegation)
  await meet(await addressesOf([...named].filter((host) => !delegated.has(host))))

  const { open, closed } = splitByFamily([...met.values()])
  const servers = open.toSorted((one, other) => compare(one, other))
  return {
    zone: zone.name,
    servers: servers.map(({ name, address, verdict }) => ({ name, address, state: stateOf(verdict) })),
    warnings: [
      ...[...homeless].map((host) => `${host}, a server of \`${zone.name}\`, has no address.`),
      ...closed.map(
        ({ family, hosts }) =>
          `This machine seems to have no ${family}: the ${family} addresses of ${hosts.join(', ')} are not asked.`,
      ),
      ...servers.flatMap((server) => complaints(zone.name, server)),
      ...differences(zone.name, delegated, named),
      ...(excess
        ? [`\`${zone.name}\` has more than ${MAXIMUM_ADDRESSES} server addresses: the rest is not asked.`]
        : []),
    ],
  }
}

function stateOf({ kind }: Verdict): MetServer['state'] {
  return kind === 'authoritative' || kind === 'silent' ? kind : 'lame'
}

function compare(one: HostAddress, other: HostAddress): number {
  return one.name.localeCompare(other.name) || one.address.localeCompare(other.address)
}

function complaints(zone: string, { name, address, verdict }: AskedServer): string[] {
  if (verdict.kind === 'authoritative') return []
  const reason = verdict.kind === 'referral' ? `is not authoritative for \`${zone}\`` : verdict.reason
  return [`${name} (${address}) ${reason}.`]
}

function* differences(zone: string, delegated: ReadonlySet<string>, named: ReadonlySet<string>): Generator<string> {
  // A zone on the servers of its parent shows no delegation; a zone of which no server answers names no servers.
  if (delegated.size === 0 || named.size === 0) return
  for (const host of [...delegated].filter((each) => !named.has(each)))
    yield `${host} is delegated to, but \`${zone}\` does not name it.`
  for (const host of [...named].filter((each) => !delegated.has(each)))
    yield `${host} is named by \`${zone}\`, but not delegated to.`
}
