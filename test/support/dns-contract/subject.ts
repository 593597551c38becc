import type { Test } from 'tap'
import { createTxtWriter } from '../../../services/challenge/txt-writer.ts'
import { DnsProviderError } from '../../../services/dns-errors.ts'
import type { DnsProvider, Zone } from '../../../services/dns/index.ts'
import { impatientClock } from '../dns-benches/bench.ts'
import type { Bench } from '../dns-benches/bench.ts'

/** A signal that never aborts. */
export const never: AbortSignal = new AbortController().signal

/** A provider under test, called directly and, as the engine does, through the core's writer. */
export interface Subject {
  readonly name: string
  readonly provider: DnsProvider
  readonly bench: Bench
  /** How long the core wanted to wait, in milliseconds. */
  readonly waits: number[]
  readonly zoneOf: (name: string) => Promise<Zone>
  readonly put: (name: string, value: string) => Promise<void>
  readonly take: (name: string, value: string) => Promise<void>
  /** Adds a value directly, once, without the core's repetitions. */
  readonly addOnce: (name: string, value: string, signal?: AbortSignal) => Promise<void>
  /** Removes one in the same way. */
  readonly removeOnce: (name: string, value: string, signal?: AbortSignal) => Promise<void>
  /** The values as the service has them, sorted; where the provider can tell, it must say the same. */
  readonly values: (t: Test, name: string) => Promise<readonly string[]>
}

/** Creates the subject. */
export function createSubject(name: string, provider: DnsProvider, bench: Bench): Subject {
  const clock = impatientClock()
  const writer = createTxtWriter(clock)

  async function zoneOf(record: string): Promise<Zone> {
    const parent = { name: record.split('.').slice(-2).join('.') }
    return (await provider.findZone?.(record, never)) ?? parent
  }

  const placeOf = async (record: string) => ({ name: record, zone: await zoneOf(record), provider: name })

  async function changeOnce(
    record: string,
    change: (values: readonly string[]) => readonly string[],
    signal: AbortSignal,
  ): Promise<void> {
    if (provider.writes === 'values') throw new Error('It writes values')
    const zone = await zoneOf(record)
    const before = await provider.read(zone, record, signal)
    await provider.write({ zone, name: record }, change(before?.values ?? []), before, signal)
  }

  return {
    name,
    provider,
    bench,
    zoneOf,
    waits: clock.waits,
    put: async (record, value) => writer.put(provider, await placeOf(record), value, never),
    take: async (record, value) => writer.take(provider, await placeOf(record), value, never),

    async addOnce(record, value, signal = never) {
      if (provider.writes === 'sets') return changeOnce(record, (values) => [...values, value], signal)
      return provider.add({ zone: await zoneOf(record), name: record, value }, signal)
    },

    async removeOnce(record, value, signal = never) {
      if (provider.writes === 'values')
        return provider.remove({ zone: await zoneOf(record), name: record, value }, signal)
      return changeOnce(record, (values) => values.filter((each) => each !== value), signal)
    },

    async values(t, record) {
      const held = (await bench.values(record)).toSorted()
      const listed = await writer.list(provider, await placeOf(record), never)
      if (listed !== undefined) t.same(listed.toSorted(), held, 'the provider lists what the service holds')
      return held
    },
  }
}

/** Returns the error that a call rejects with; it must be a provider's. */
export async function failureOf(call: Promise<unknown>): Promise<DnsProviderError> {
  try {
    await call
  } catch (error) {
    if (error instanceof DnsProviderError) return error
    throw error
  }
  throw new Error('The call did not fail')
}

/** Runs a test of what a provider can do, if this one can. What is not in its nature is no test that was skipped. */
export async function testWhere(t: Test, isAble: boolean, title: string, body: (t: Test) => Promise<void>) {
  if (isAble) await t.test(title, body)
}
