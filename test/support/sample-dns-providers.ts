import { DnsProviderError } from '../../services/dns-errors.ts'
import type { AppendingProvider, DnsProvider, ReplacingProvider, TxtSet, Zone } from '../../services/dns/index.ts'

/** A TXT record as it stands in a sample account. */
export interface StandingRecord {
  readonly name: string
  readonly value: string
  readonly ttlSeconds: number
}

/** When a test may step in: to write as somebody else, to wait, or to throw in the provider's place. */
export type Moment = 'read' | 'before-write' | 'after-write'

/** The account of a provider that is only memory. */
export interface SampleAccount {
  /** Zone name to its records, in the order in which they were written. */
  readonly zones: Map<string, readonly StandingRecord[]>
  /** Called at each moment; what it throws the provider throws. */
  step: (moment: Moment, name: string) => void | Promise<void>
  /** Every record of all zones but those with these values, sorted: what a test compares to say "unchanged". */
  others(values?: readonly string[]): readonly string[]
  /** Writes as somebody else does. */
  write(zone: string, change: (records: readonly StandingRecord[]) => readonly StandingRecord[]): void
  /** How often a zone was written. */
  version(zone: string): number
}

/** Creates an account with zones and what stands in them: `['www.example.com', 'v=spf1 -all', 300]`. */
export function createSampleAccount(
  zones: Readonly<Record<string, readonly (readonly [name: string, value: string, ttlSeconds: number])[]>>,
): SampleAccount {
  const versions = new Map<string, number>()
  const account: SampleAccount = {
    zones: new Map(
      Object.entries(zones).map(([zone, records]) => [
        zone,
        records.map(([name, value, ttlSeconds]) => ({ name, value, ttlSeconds })),
      ]),
    ),
    step: () => undefined,
    others: (values = []) =>
      [...account.zones.values()]
        .flat()
        .filter(({ value }) => !values.includes(value))
        .map(({ name, value, ttlSeconds }) => `${name} ${ttlSeconds} ${JSON.stringify(value)}`)
        .toSorted(),
    write(zone, change) {
      account.zones.set(zone, change(account.zones.get(zone) ?? []))
      versions.set(zone, account.version(zone) + 1)
    },
    version: (zone) => versions.get(zone) ?? 0,
  }
  return account
}

/** One provider of each kind there is, over a sample account. */
export const sampleProviders = {
  append: (account: SampleAccount): DnsProvider => appending(account, 'many'),
  single: (account: SampleAccount): DnsProvider => appending(account, 'one'),
  replace: (account: SampleAccount): DnsProvider => replacing(account, 'name'),
  'whole zone': (account: SampleAccount): DnsProvider => replacing(account, 'zone'),
} as const satisfies Record<string, (account: SampleAccount) => DnsProvider>

/** The TTL that a sample provider gives to what it writes first. */
const OWN_TTL_SECONDS = 60

/** Lets a test step in; ends at once when aborted, whatever the test does. */
async function step(account: SampleAccount, moment: Moment, name: string, signal: AbortSignal): Promise<void> {
  signal.throwIfAborted()
  const { promise, reject } = Promise.withResolvers<never>()
  const abort = () => reject(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  try {
    await Promise.race([account.step(moment, name), promise])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}

function common(account: SampleAccount) {
  return {
    async findZone(name: string, signal: AbortSignal): Promise<Zone | undefined> {
      signal.throwIfAborted()
      const [longest] = [...account.zones.keys()]
        .filter((zone) => name === zone || name.endsWith(`.${zone}`))
        .toSorted((one, other) => other.length - one.length)
      return longest === undefined ? undefined : { name: longest, id: `id-of-${longest}` }
    },
  }
}

function standing(account: SampleAccount, zone: Zone, name: string): readonly StandingRecord[] {
  const records = account.zones.get(zone.name)
  if (records === undefined) throw new DnsProviderError('sample', 'zone', `The account holds no zone ${zone.name}.`)
  return records.filter((record) => record.name === name)
}

function appending(account: SampleAccount, valuesPerName: 'many' | 'one'): AppendingProvider {
  async function commit(name: string, signal: AbortSignal, run: () => void): Promise<void> {
    await step(account, 'before-write', name, signal)
    run()
    await step(account, 'after-write', name, signal)
  }

  return {
    ...common(account),
    writes: 'values',
    valuesPerName,

    async add({ zone, name, value }, signal) {
      await commit(name, signal, () => {
        const before = standing(account, zone, name)
        if (before.some((record) => record.value === value)) return
        const ttlSeconds = before[0]?.ttlSeconds ?? OWN_TTL_SECONDS
        const kept = valuesPerName === 'one' ? [] : before
        account.write(zone.name, (records) => [
          ...records.filter((record) => record.name !== name || kept.includes(record)),
          { name, value, ttlSeconds },
        ])
      })
    },

    async remove({ zone, name, value }, signal) {
      await commit(name, signal, () => {
        if (!standing(account, zone, name).some((record) => record.value === value)) return
        account.write(zone.name, (records) =>
          records.filter((record) => record.name !== name || record.value !== value),
        )
      })
    },

    async list(zone, name, signal) {
      await step(account, 'read', name, signal)
      return standing(account, zone, name).map(({ value }) => value)
    },
  }
}

/** What was read, and the whole zone with it, as APIs do that write all of it at once. */
interface ReadState {
  readonly version: number
  readonly records: readonly StandingRecord[]
}

function replacing(account: SampleAccount, scope: 'name' | 'zone'): ReplacingProvider {
  return {
    ...common(account),
    writes: 'sets',
    scope,
    valuesPerName: 'many',

    async read(zone, name, signal) {
      await step(account, 'read', name, signal)
      const here = standing(account, zone, name)
      const state: ReadState = { version: account.version(zone.name), records: account.zones.get(zone.name) ?? [] }
      const values = here.map(({ value }) => value)
      const ttlSeconds = here[0]?.ttlSeconds ?? OWN_TTL_SECONDS
      // An API that writes whole zones needs to see the zone again even where the name has no values.
      if (values.length === 0 && scope === 'name') return undefined
      return { values, ttlSeconds, state }
    },

    async write({ zone, name }, values, before, signal) {
      await step(account, 'before-write', name, signal)
      assertUnchanged(account, zone, name, before, scope)
      const ttlSeconds = before?.ttlSeconds ?? OWN_TTL_SECONDS
      const kept = (scope === 'zone' ? stateOf(before)?.records : undefined) ?? account.zones.get(zone.name) ?? []
      account.write(zone.name, () => [
        ...kept.filter((record) => record.name !== name),
        ...values.map((value) => ({ name, value, ttlSeconds })),
      ])
      await step(account, 'after-write', name, signal)
    },
  }
}

function assertUnchanged(
  account: SampleAccount,
  zone: Zone,
  name: string,
  before: TxtSet | undefined,
  scope: 'name' | 'zone',
): void {
  const state = stateOf(before)
  const read = state?.records.filter((record) => record.name === name) ?? []
  const isSame =
    scope === 'zone' && state !== undefined
      ? state.version === account.version(zone.name)
      : JSON.stringify(read) === JSON.stringify(standing(account, zone, name))
  if (!isSame) throw new DnsProviderError('sample', 'conflict', 'Somebody else has written since it was read.')
}

function stateOf(before: TxtSet | undefined): ReadState | undefined {
  return before?.state as ReadState | undefined
}
