import { DnsProviderError } from '../../../services/dns-errors.ts'
import type { DnsProvider } from '../../../services/dns/index.ts'
import { createSampleAccount, sampleProviders } from '../sample-dns-providers.ts'
import type { Moment, SampleAccount } from '../sample-dns-providers.ts'
import { ZONES, optionsOf } from './bench.ts'
import type { Bench } from './bench.ts'

/** Opens a provider of each kind over memory, with its bench: what proves the suite itself, and kinds no real one has yet. */
export const samples: Readonly<Record<string, () => { readonly provider: DnsProvider; readonly bench: Bench }>> =
  Object.fromEntries(
    Object.entries(sampleProviders).map(([name, create]) => [
      name,
      () => {
        const account = createSampleAccount(Object.fromEntries(ZONES.map((zone) => [zone, []])))
        return { provider: create(account), bench: benchOf(account) }
      },
    ]),
  )

function benchOf(account: SampleAccount): Bench {
  /** Does this at the next such moment, once. */
  function at(wanted: Moment, act: () => void): void {
    account.step = (moment) => {
      if (moment !== wanted) return
      account.step = () => undefined
      act()
    }
  }

  const fail = (kind: 'unreachable' | 'limit', retryAfterMs?: number) => () => {
    throw new DnsProviderError('sample', kind, 'This is a test.', { retryAfterMs })
  }
  const all = () => [...account.zones.values()].flat()
  return {
    options: optionsOf({}),
    values: async (name) => all().flatMap((record) => (record.name === name ? [record.value] : [])),
    snapshot: async () => account.others().join('\n'),

    async write(name, value) {
      const zone = ZONES.filter((each) => name === each || name.endsWith(`.${each}`)).toSorted(
        (left, right) => right.length - left.length,
      )[0]
      account.write(zone ?? '', (records) => [...records, { name, value, ttlSeconds: 300 }])
    },

    faults: {
      failWrite: () => at('before-write', fail('unreachable')),
      loseAnswer: () => at('after-write', fail('unreachable')),
      resetAfterWrite: () => at('after-write', fail('unreachable')),
      limit: (seconds) => at('before-write', fail('limit', seconds * 1000)),
      meanwhile: (act) => at('before-write', act),
    },
  }
}
