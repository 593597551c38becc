import { isIP } from 'node:net'
import { SoakpError } from '../errors.ts'
import type { DnsAnswer } from './query-answer.ts'
import { ownersOf, targetsOf } from './query-answer.ts'
import { isWithin, suffixesOf } from './query-name.ts'
import type { Recursion } from './resolver-recursive.ts'
import type { AskAddress, KnownZone, HostAddress } from './resolver-zone.ts'
import { consultAny } from './resolver-zone.ts'

/** What goes with every question of one search. */
export interface SearchOptions {
  readonly signal: AbortSignal
  /** Names at or below this one are never told to a recursive resolver. */
  readonly hidden?: string
  /** How many searches for name servers' addresses this one is inside of. */
  readonly depth?: number
}

/** Where a name is. */
export interface FoundName {
  /** The zone that holds the name. */
  readonly zone: KnownZone
  /** The zones on the way to it, from the top. */
  readonly trail: readonly KnownZone[]
  /** What the name is an alias of (CNAME). */
  readonly alias: string | undefined
}

/** Goes from the servers of a top-level domain down to those of the zone that holds a name. */
export interface Descent {
  find(name: string, options: SearchOptions): Promise<FoundName>
  /** Addresses of a name server's host, of both families. `trail` are zones that are known to be above it or beside it. */
  addressesOf(host: string, trail: readonly KnownZone[], options: SearchOptions): Promise<readonly HostAddress[]>
}

/** How many labels are told one by one before the whole name (RFC 9156 section 2.3). */
const MAXIMUM_STEPS = 9
/** How deep searches for name servers' addresses go inside of each other. */
const MAXIMUM_DEPTH = 2
/** How many hosts of a delegation are looked up where it carries no address. */
const LOOKED_UP = 4
/** How many servers of one zone are dealt with at most; the root has 13. */
export const MAXIMUM_SERVERS = 24

/** Creates the descent. `ask` puts a question to an authoritative server without asking it to recurse. */
export function createDescent(ask: AskAddress, recursion: Recursion): Descent {
  const find: Descent['find'] = async (name, options) => {
    let zone = await top(name, options)
    const trail = [zone]
    const suffixes = suffixesOf(name).filter((suffix) => suffix !== zone.name && isWithin(suffix, zone.name))
    const below = [...suffixes.slice(0, -1).slice(0, MAXIMUM_STEPS), name]
    // One label at a time (RFC 9156): where something between us and a server answers in its place, that shows before
    // the whole name has been told, and a zone on the servers of its parent shows too.
    for (const suffix of below) {
      const question = { name: suffix, type: 'SOA' } as const
      let verdict = await (trail.length === 1 ? consultTop : consultAny)(ask, zone, question, options.signal)
      while (verdict.kind === 'referral') {
        zone = await follow(verdict.zone, verdict.answer, trail, options)
        trail.push(zone)
        verdict = await consultAny(ask, zone, question, options.signal)
      }
      const [alias] = targetsOf(verdict.answer.answers, 'CNAME', suffix)
      if (alias !== undefined) {
        if (suffix === name) return { zone, trail, alias }
        continue
      }
      const apex = apexOf(verdict.answer, suffix)
      if (apex !== zone.name && isWithin(apex, zone.name)) {
        zone = { name: apex, servers: zone.servers, delegation: [] }
        trail.push(zone)
      }
    }
    return { zone, trail, alias: undefined }
  }

  /** The zone where the descent begins: the top-level domain's, or below it the first that the resolvers know. */
  async function top(name: string, { signal, hidden }: SearchOptions): Promise<KnownZone> {
    const isSecret = (suffix: string) => suffix === name || (hidden !== undefined && isWithin(suffix, hidden))
    for (const suffix of suffixesOf(name).filter((each) => !isSecret(each))) {
      const hosts = (await recursion.nameServersOf(suffix, signal)).slice(0, MAXIMUM_SERVERS)
      if (hosts.length === 0) continue
      const found = hosts.slice(0, LOOKED_UP).map(async (host) => fromResolver(host, signal))
      return { name: suffix, servers: sorted((await Promise.all(found)).flat()), delegation: hosts }
    }
    const message = `The resolvers know no name servers for the end of \`${name}\`: name others in SOAKP_DNS_RESOLVERS.`
    throw new SoakpError(502, 'SOAKP_DNS_UNREACHABLE', message)
  }

  async function follow(
    name: string,
    answer: DnsAnswer,
    trail: readonly KnownZone[],
    options: SearchOptions,
  ): Promise<KnownZone> {
    const delegation = targetsOf(answer.authorities, 'NS', name).slice(0, MAXIMUM_SERVERS)
    const parent = trail.at(-1)?.name ?? ''
    // What a server says of names outside of its own zone is not believed.
    const glue = delegation
      .filter((host) => isWithin(host, parent))
      .flatMap((host) =>
        (['A', 'AAAA'] as const).flatMap((type) =>
          targetsOf(answer.additionals, type, host).map((address) => ({ name: host, address })),
        ),
      )
    if (glue.length > 0) return { name, servers: sorted(glue), delegation }
    const outside = delegation.filter((host) => !isWithin(host, name)).slice(0, LOOKED_UP)
    const found = await Promise.all(outside.map(async (host) => addressesOf(host, trail, options)))
    return { name, servers: sorted(found.flat()), delegation }
  }

  const addressesOf: Descent['addressesOf'] = async (host, trail, options) => {
    const { signal, hidden, depth = 0 } = options
    // A top-level domain's servers know no hosts; those of a zone below know theirs better than any resolver.
    const near = trail.findLast((zone) => zone.name.includes('.') && isWithin(host, zone.name))
    if (near === undefined && !(hidden !== undefined && isWithin(host, hidden))) return fromResolver(host, signal)
    if (depth >= MAXIMUM_DEPTH) return []
    try {
      const zone = near ?? (await find(host, { ...options, depth: depth + 1 })).zone
      const found = await fromZone(zone, host, signal)
      if (found !== undefined) return found
      const { zone: deeper } = await find(host, { ...options, depth: depth + 1 })
      return (await fromZone(deeper, host, signal)) ?? []
    } catch (error) {
      signal.throwIfAborted()
      if (error instanceof SoakpError) return []
      throw error
    }
  }

  /** Undefined where the zone's servers point further down. A server that fails at one family may know the other. */
  async function fromZone(zone: KnownZone, host: string, signal: AbortSignal): Promise<HostAddress[] | undefined> {
    const types = ['A', 'AAAA'] as const
    const asked = await Promise.allSettled(
      types.map(async (type) => consultAny(ask, zone, { name: host, type }, signal)),
    )
    signal.throwIfAborted()
    const verdicts = asked.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
    if (verdicts.some(({ kind }) => kind === 'referral')) return undefined
    const records = verdicts.flatMap(({ answer }) => answer.answers)
    return types.flatMap((type) => targetsOf(records, type, host)).map((address) => ({ name: host, address }))
  }

  async function fromResolver(host: string, signal: AbortSignal): Promise<HostAddress[]> {
    return (await recursion.addressesOf(host, signal)).map((address) => ({ name: host, address }))
  }

  return { find, addressesOf }
}

/** A top-level domain's servers answer for it: where they seem not to, something on the way answers in their place. */
const consultTop: typeof consultAny = async (ask, zone, question, signal) => {
  try {
    return await consultAny(ask, zone, question, signal)
  } catch (error) {
    if (!(error instanceof SoakpError) || error.code !== 'SOAKP_DNS_LAME') throw error
    throw new SoakpError(502, 'SOAKP_DNS_UNREACHABLE', error.message, { cause: error })
  }
}

/** Which zone an answer comes from: the owner of the SOA record that it holds or is explained by (RFC 2308). */
function apexOf(answer: DnsAnswer, name: string): string {
  const owners = [...ownersOf(answer.answers, 'SOA'), ...ownersOf(answer.authorities, 'SOA')]
  return owners.find((owner) => isWithin(name, owner)) ?? ''
}

/** IPv4 first, as machines without IPv6 are the more common ones; bounded. */
function sorted(servers: readonly HostAddress[]): HostAddress[] {
  return servers.toSorted((one, other) => isIP(one.address) - isIP(other.address)).slice(0, MAXIMUM_SERVERS)
}
