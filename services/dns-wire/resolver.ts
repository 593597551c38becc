import { SoakpError } from '../errors.ts'
import type { DnsAnswer, DnsQuestion } from './query-answer.ts'
import type { Ask } from './query.ts'
import { ask as askWire } from './query.ts'
import type { FoundName, SearchOptions } from './resolver-descent.ts'
import { createDescent } from './resolver-descent.ts'
import { createRecursion } from './resolver-recursive.ts'
import type { ServerSet } from './resolver-servers.ts'
import { findServers } from './resolver-servers.ts'
import type { AskAddress, KnownZone, HostAddress, Verdict } from './resolver-zone.ts'
import { consult, consultAny } from './resolver-zone.ts'

/**
 * Asks authoritative servers. Recursive resolvers hear only of top-level domains and of name servers' hosts, so that
 * none keeps the answer "there is no such name" for a challenge that is yet to be written (RFC 2308).
 */
export interface Resolver {
  /** Finds the zone that holds a name, and its alias if it is one. Throws `SOAKP_DNS_UNREACHABLE`, `SOAKP_DNS_LAME`. */
  find(name: string, options: SearchOptions): Promise<FoundName>
  /** Finds all servers of the zone that holds a name. Throws as `find`. */
  serversOf(name: string, options: SearchOptions): Promise<ServerSet>
  /** Asks the servers of a zone until one answers. Undefined when they point further down. Throws as `find`. */
  askZone(zone: KnownZone, question: DnsQuestion, signal: AbortSignal): Promise<DnsAnswer | undefined>
  /** Asks one server of a zone and judges its answer. */
  askServer(zone: string, server: HostAddress, question: DnsQuestion, signal: AbortSignal): Promise<Verdict>
}

/** What a resolver is made of; tests give a port and a wire of their own. */
export interface ResolverOptions {
  /** `host:port` of recursive resolvers; those of the system when empty. */
  readonly resolvers: readonly string[]
  /** Where authoritative servers are asked; 53 by default. */
  readonly port?: number
  readonly ask?: Ask
}

/** Creates a resolver. It keeps nothing: each search begins at the top. */
export function createResolver({ resolvers, port = 53, ask = askWire }: ResolverOptions): Resolver {
  const askAddress: AskAddress = async (address, question, signal) =>
    ask({ address, port }, question, { isRecursive: false, signal })
  const descent = createDescent(askAddress, createRecursion(ask, resolvers))

  return {
    find: async (name, options) => withLimit(name, options, async (limited) => descent.find(name, limited)),

    async serversOf(name, options) {
      return withLimit(name, options, async (limited) =>
        findServers(descent, askAddress, await descent.find(name, limited), limited),
      )
    },

    async askZone(zone, question, signal) {
      const verdict = await consultAny(askAddress, zone, question, signal)
      return verdict.kind === 'authoritative' ? verdict.answer : undefined
    },

    askServer: async (zone, server, question, signal) => consult(askAddress, zone, server, question, signal),
  }
}

/** Servers chosen by others can make a search long in many ways; together they get this long. */
const LONGEST_SEARCH_MS = 60_000

async function withLimit<Value>(
  name: string,
  options: SearchOptions,
  search: (options: SearchOptions) => Promise<Value>,
): Promise<Value> {
  const limit = AbortSignal.timeout(LONGEST_SEARCH_MS)
  try {
    return await search({ ...options, signal: AbortSignal.any([options.signal, limit]) })
  } catch (error) {
    options.signal.throwIfAborted()
    if (!limit.aborted) throw error
    const message = `The servers of \`${name}\` were not found within ${LONGEST_SEARCH_MS / 1000} s.`
    throw new SoakpError(502, 'SOAKP_DNS_UNREACHABLE', message, { cause: error })
  }
}
