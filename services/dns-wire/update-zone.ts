import { CLASS, TYPE } from './message.ts'
import type { WireMessage } from './message.ts'
import { canonicalName } from './names.ts'
import { isWithin, suffixesOf } from './query-name.ts'
import type { UpdateClient } from './update-client.ts'

/**
 * Finds the longest zone of the server that holds a name, by asking for the SOA of the name and of each name above it.
 * Undefined where there is none, or where the zone delegates the name to another server.
 */
export async function findServedZone(
  client: Pick<UpdateClient, 'askIfServed'>,
  name: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  let delegation: string | undefined
  for (const suffix of suffixesOf(name).toReversed()) {
    const message = await client.askIfServed(suffix, TYPE.SOA, signal)
    if (message === undefined) continue
    const zone = zoneIn(message, suffix)
    if (zone !== undefined) return delegation === undefined || isWithin(zone, delegation) ? zone : undefined
    delegation ??= delegationIn(message, suffix)
  }
  return undefined
}

/** The zone whose SOA an authoritative answer holds, with the record or with its absence (RFC 2308 section 3). */
function zoneIn({ isAuthoritative, answers, authorities }: WireMessage, suffix: string): string | undefined {
  if (!isAuthoritative || answers.some(({ type }) => type === TYPE.CNAME)) return undefined
  const record = [...answers, ...authorities].find((one) => one.type === TYPE.SOA && one.class === CLASS.IN)
  const owner = record === undefined ? '' : canonicalName(record.name)
  return owner !== '' && isWithin(suffix, owner) ? owner : undefined
}

function delegationIn({ isAuthoritative, authorities }: WireMessage, suffix: string): string | undefined {
  const record = isAuthoritative ? undefined : authorities.find(({ type }) => type === TYPE.NS)
  const owner = record === undefined ? '' : canonicalName(record.name)
  return owner !== '' && isWithin(suffix, owner) ? owner : undefined
}
