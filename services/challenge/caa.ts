import type { CaaData } from 'dns-packet'
import { recordsOf } from '../dns-wire/query-answer.ts'
import { suffixesOf } from '../dns-wire/query-name.ts'
import type { Resolver } from '../dns-wire/resolver.ts'

/** The CAA records that hold for a name (RFC 8659). */
export interface RelevantCaa {
  /** The name they stand at: the one asked for or one above. */
  readonly name: string
  readonly records: readonly { readonly isCritical: boolean; readonly tag: string; readonly value: string }[]
}

/** How many aliases are followed. */
const MAXIMUM_HOPS = 8

/**
 * Finds the CAA records that hold for a domain by asking authoritative servers, climbing from the name to the one below
 * the top-level domain (RFC 8659 section 3). Undefined where there are none: any authority may issue then.
 */
export async function findCaa(
  resolver: Resolver,
  domain: string,
  signal: AbortSignal,
): Promise<RelevantCaa | undefined> {
  for (const name of suffixesOf(domain).slice(1).toReversed()) {
    const records = await caaAt(resolver, name, signal)
    if (records.length > 0) return { name, records }
  }
  return undefined
}

async function caaAt(resolver: Resolver, first: string, signal: AbortSignal): Promise<RelevantCaa['records']> {
  let name = first
  for (let hop = 0; hop <= MAXIMUM_HOPS; hop += 1) {
    const { zone, alias } = await resolver.find(name, { signal, hidden: first })
    if (alias === undefined) {
      const answer = await resolver.askZone(zone, { name, type: 'CAA' }, signal)
      return recordsOf(answer?.answers ?? [], 'CAA', name).map(({ data }) => {
        const { tag, value, flags = 0 } = data as CaaData
        return { isCritical: (flags & 128) !== 0, tag: tag.toLowerCase(), value }
      })
    }
    name = alias
  }
  return []
}
