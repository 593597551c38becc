import type { Test } from 'tap'
import type { Clock } from '../../../services/clock.ts'
import type { ProviderOptions } from '../../../services/dns/index.ts'
import type { DnsVariableName } from '../../../services/dns-variables.ts'
import { Secret } from '../../../services/secret.ts'

/** Zones that every bench's account holds, in an order and with neighbours that mislead. */
export const ZONES = [
  'ple.com',
  'example.com',
  'xample.com',
  'deep.sub.example.com',
  'sub.example.com',
  'aaa.example.org',
]

/** What a provider of the contract suite works against: a service that is really there, and hands on it from outside. */
export interface Bench {
  /** What the provider is opened with: right credentials. */
  readonly options: ProviderOptions
  /** The same with wrong ones; the secrets among them must never be seen again. Absent where there are none. */
  readonly wrong?: ProviderOptions
  /** The values at a name as the service holds them, read without the provider. */
  values(name: string): Promise<readonly string[]>
  /** Writes a value as another program would. */
  write(name: string, value: string): Promise<void>
  /** All that the service holds at the names of others, byte for byte: TTLs, ids, comments, the order of values. */
  snapshot(): Promise<string>
  /** How the service is made to fail; absent where it cannot be. */
  readonly faults?: Faults
}

/** What can be made to happen to the next call. */
export interface Faults {
  /** The next write is refused by a 5xx and does not happen. */
  failWrite(): void
  /** The next write happens, and its answer is a 5xx. */
  loseAnswer(): void
  /** The next write happens, and the connection breaks. */
  resetAfterWrite(): void
  /** The next write is refused: too many calls, come back after so many seconds. Absent without such an answer. */
  limit?(seconds: number): void
  /** False where that answer does not tell how many seconds. */
  readonly tellsWait?: false
  /** The next write is not answered, ever. Absent where nothing is sent. */
  silence?(): void
  /** Somebody else does this just before the next write is carried out. */
  meanwhile(act: () => void): void
}

/** How a bench is set up. */
export interface BenchSetup {
  /** The reason to skip its tests here, or false. */
  readonly isMissing: string | false
  /** Starts it, with `ZONES`; it ends with the test. */
  start(t: Test): Promise<Bench>
}

/** A clock that never waits, so that what would take minutes is over at once. It notes how long it was asked to wait. */
export function impatientClock(): Clock & { readonly waits: number[] } {
  const waits: number[] = []
  return {
    waits,
    now: Date.now,
    random: () => 0.5,

    async sleep(ms, signal) {
      signal.throwIfAborted()
      waits.push(ms)
      await new Promise((resolve) => setImmediate(resolve))
    },
  }
}

/** Makes what a provider is opened with. */
export function optionsOf(
  variables: Readonly<Partial<Record<DnsVariableName, string>>>,
  apiUrl?: string,
): ProviderOptions {
  const credentials = Object.fromEntries(Object.entries(variables).map(([name, value]) => [name, new Secret(value)]))
  return { credentials, apiUrl, clock: impatientClock() }
}
