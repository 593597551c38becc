import type { ChallengePlace, Challenger, JournalEntry } from '../../services/challenge/index.ts'

/** A DNS in memory with the challenger that writes to it. It outlives the engines that use it. */
export interface MemoryDns {
  readonly challenger: Challenger
  /** `name value`, as they stand. */
  readonly records: Set<string>
  /** `write name value` and so on, in order. */
  readonly calls: string[]
  valuesPerName: ChallengePlace['valuesPerName']
  /** What a call is to do instead: throw, or never return. */
  hinder: (call: string, signal: AbortSignal) => Promise<void> | undefined
}

/** Creates an empty DNS. */
export function createMemoryDns(now: () => number): MemoryDns {
  const journal = new Map<string, JournalEntry>()
  const call = async (text: string, signal: AbortSignal) => {
    signal.throwIfAborted()
    dns.calls.push(text)
    await dns.hinder(text, signal)
  }
  const keyOf = (place: ChallengePlace, value: string) => `${place.name} ${value}`

  const dns: MemoryDns = {
    records: new Set(),
    calls: [],
    valuesPerName: 'many',
    hinder: () => undefined,
    challenger: {
      async locate(domain, signal) {
        await call(`locate ${domain}`, signal)
        const zone = { name: domain.split('.').slice(-2).join('.') }
        return { domain, name: `_acme-challenge.${domain}`, zone, provider: 'memory', valuesPerName: dns.valuesPerName }
      },
      async write(place, value, signal) {
        journal.set(keyOf(place, value), { place, value, at: now() })
        await call(`write ${keyOf(place, value)}`, signal)
        dns.records.add(keyOf(place, value))
      },
      async waitUntilServed(place, values, signal) {
        await call(`wait ${place.name} ${values.length}`, signal)
        const servers = [{ name: 'ns1.test', address: '192.0.2.1', afterMs: 5 }]
        return { by: 'authoritative', waitedMs: 5, servers, warnings: [] }
      },
      async remove(place, value, signal) {
        await call(`remove ${keyOf(place, value)}`, signal)
        dns.records.delete(keyOf(place, value))
        journal.delete(keyOf(place, value))
      },
      async sweep(keep, signal) {
        await call('sweep', signal)
        const removed = [...journal.values()].filter(({ value }) => !keep.includes(value))
        for (const { place, value } of removed) {
          dns.calls.push(`swept ${keyOf(place, value)}`)
          dns.records.delete(keyOf(place, value))
          journal.delete(keyOf(place, value))
        }
        return { removed, failed: [] }
      },
      close: async () => undefined,
    },
  }
  return dns
}
