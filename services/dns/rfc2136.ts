import { DnsProviderError } from '../dns-errors.ts'
import { CLASS, TYPE, readText } from '../dns-wire/message.ts'
import type { WireRecord } from '../dns-wire/message.ts'
import { canonicalName } from '../dns-wire/names.ts'
import { isWithin } from '../dns-wire/query-name.ts'
import { createUpdateClient } from '../dns-wire/update-client.ts'
import { readUpdateSettings } from '../dns-wire/update-settings.ts'
import { findServedZone } from '../dns-wire/update-zone.ts'
import type { AppendingProvider, ProviderOptions } from './index.ts'

/** Creates the provider for servers that take dynamic updates (RFC 2136), signed by TSIG (RFC 8945), over TCP. */
export async function createProvider({ credentials, clock }: ProviderOptions): Promise<AppendingProvider> {
  const settings = await readUpdateSettings(credentials)
  const client = createUpdateClient(settings, clock)

  /** What a name itself answers: TXT records, or the alias (CNAME) that stands there or that a wildcard makes up. */
  async function read(name: string, signal: AbortSignal): Promise<readonly WireRecord[]> {
    const message = await client.ask(name, TYPE.TXT, signal)
    return message.answers.filter((one) => one.class === CLASS.IN && canonicalName(one.name) === name)
  }

  const isAlias = ({ type }: WireRecord) => type === TYPE.CNAME
  const isText = ({ type }: WireRecord) => type === TYPE.TXT

  /** What stands at a name before it is written; nothing is known where questions are refused. */
  async function readBefore(name: string, signal: AbortSignal): Promise<readonly WireRecord[]> {
    try {
      return await read(name, signal)
    } catch (error) {
      // Who may not ask may still write; and if not, that refusal has the better advice.
      if (error instanceof DnsProviderError && error.kind === 'credentials') return []
      throw error
    }
  }

  return {
    writes: 'values',
    valuesPerName: 'many',

    async findZone(name, signal) {
      const listed = settings.zones.filter((zone) => isWithin(name, zone)).toSorted((a, b) => b.length - a.length)
      const isListed = settings.zones.length > 0
      const zone = isListed ? listed[0] : await findServedZone(client, name, signal)
      return zone === undefined ? undefined : { name: zone }
    },

    async add({ zone, name, value }, signal) {
      const before = await readBefore(name, signal)
      // A record set has one TTL: with another one, the records that stand there already would change.
      const ttlSeconds = before.find(isText)?.ttlSeconds ?? settings.ttlSeconds
      await client.update(zone.name, { action: 'add', name, value, ttlSeconds }, signal)
      // A server adds nothing to an alias and does not say so (RFC 2136 section 3.4.2.2); a wildcard's gives way.
      if (!before.some(isAlias) || !(await read(name, signal)).some(isAlias)) return
      throw new DnsProviderError(
        'rfc2136',
        'refused',
        `${name} is an alias (CNAME), so that no TXT record can stand there. Remove the alias, or write where it leads.`,
      )
    },

    async remove({ zone, name, value }, signal) {
      await client.update(zone.name, { action: 'remove', name, value, ttlSeconds: 0 }, signal)
    },

    async list(_, name, signal) {
      const records = await read(name, signal)
      return records.filter(isText).map(({ data }) => readText(data))
    },
  }
}
