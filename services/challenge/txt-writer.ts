import type { Clock } from '../clock.ts'
import { DnsProviderError } from '../dns-errors.ts'
import type { AppendingProvider, DnsProvider, ReplacingProvider } from '../dns/index.ts'
import type { ChallengePlace } from './index.ts'
import { createMutex } from './mutex.ts'

/** Where a value is written. */
export type WritePlace = Pick<ChallengePlace, 'name' | 'zone' | 'provider'>

/** Puts single values to names and takes them away again, whatever kind of API the provider has. */
export interface TxtWriter {
  /** Resolves when the value stands beside whatever stood there. May be repeated. */
  put(provider: DnsProvider, place: WritePlace, value: string, signal: AbortSignal): Promise<void>
  /** Resolves when the value is gone and all others stand as before. What is gone already is fine. */
  take(provider: DnsProvider, place: WritePlace, value: string, signal: AbortSignal): Promise<void>
  /** The values at a name; undefined where the API cannot tell. */
  list(provider: DnsProvider, place: WritePlace, signal: AbortSignal): Promise<readonly string[] | undefined>
}

/** How often a write is tried before it is given up. */
const TRIES = 8
/** The longest wait that a provider's limit is obeyed within one write. */
const LONGEST_LIMIT_MS = 60_000

/** Creates the writer. Writes that would undo each other take turns. */
export function createTxtWriter(clock: Clock): TxtWriter {
  const exclusively = createMutex()

  /** Repeats `step` until it tells that it is done. Conflicts, limits and missing answers are repeated, other faults are not. */
  async function repeat(
    { provider, name }: WritePlace,
    step: () => Promise<boolean>,
    signal: AbortSignal,
  ): Promise<void> {
    let last: unknown
    for (let tried = 0; tried < TRIES; tried += 1) {
      if (tried > 0) await clock.sleep(pauseMs(tried, last, clock), signal)
      last = undefined
      try {
        if (await step()) return
      } catch (error) {
        if (!isWorthRepeating(error)) throw error
        last = error
      }
    }
    if (last !== undefined) throw last
    const message = `Another program keeps writing \`${name}\`: what SOAKP writes is lost each time. Stop the other one.`
    throw new DnsProviderError(provider, 'conflict', message)
  }

  async function changeSet(
    provider: ReplacingProvider,
    place: WritePlace,
    change: (values: readonly string[]) => readonly string[],
    signal: AbortSignal,
  ): Promise<void> {
    const { zone, name } = place
    const scope = provider.scope === 'zone' ? zone.name : `${zone.name} ${name}`
    // The same step writes and, when it comes round again, checks: what a lost answer or another writer has left undone
    // shows when it is read.
    const step = async () => {
      const before = await provider.read(zone, name, signal)
      const values = before?.values ?? []
      const after = change(values)
      if (after === values) return true
      await provider.write({ zone, name }, after, before, signal)
      const written = (await provider.read(zone, name, signal))?.values ?? []
      return change(written) === written
    }
    await exclusively(`${place.provider} ${scope}`, signal, async () => repeat(place, step, signal))
  }

  async function changeValue(
    provider: AppendingProvider,
    place: WritePlace,
    call: () => Promise<void>,
    isDone: (values: readonly string[]) => boolean,
    signal: AbortSignal,
  ): Promise<void> {
    const { zone, name } = place
    let mayHaveHappened = false
    const step = async () => {
      if (mayHaveHappened && provider.list !== undefined && isDone(await provider.list(zone, name, signal))) return true
      mayHaveHappened = true
      await call()
      return true
    }
    await exclusively(`${place.provider} ${zone.name} ${name}`, signal, async () => repeat(place, step, signal))
  }

  return {
    async put(provider, place, value, signal) {
      const { zone, name } = place
      const add = (values: readonly string[]) => {
        if (values.includes(value)) return values
        assertRoom(provider, place, values)
        return [...values, value]
      }
      if (provider.writes === 'sets') return changeSet(provider, place, add, signal)
      const call = async () => {
        if (provider.valuesPerName === 'one') add((await provider.list?.(zone, name, signal)) ?? [])
        await provider.add({ zone, name, value }, signal)
      }
      return changeValue(provider, place, call, (values) => values.includes(value), signal)
    },

    async take(provider, place, value, signal) {
      const { zone, name } = place
      const drop = (values: readonly string[]) =>
        values.includes(value) ? values.filter((each) => each !== value) : values
      if (provider.writes === 'sets') return changeSet(provider, place, drop, signal)
      const call = async () => provider.remove({ zone, name, value }, signal)
      return changeValue(provider, place, call, (values) => !values.includes(value), signal)
    },

    async list(provider, { zone, name }, signal) {
      if (provider.writes === 'sets') return (await provider.read(zone, name, signal))?.values ?? []
      return provider.list?.(zone, name, signal)
    },
  }
}

/** Throws where the provider keeps one value and another's stands there: it would be lost. */
function assertRoom(provider: DnsProvider, { provider: title, name }: WritePlace, values: readonly string[]): void {
  if (provider.valuesPerName === 'many' || values.length === 0) return
  const message = `\`${name}\` holds a value that is not SOAKP's, and ${title} keeps only one: remove it there.`
  throw new DnsProviderError(title, 'refused', message)
}

function isWorthRepeating(error: unknown): error is DnsProviderError {
  if (!(error instanceof DnsProviderError)) return false
  if (error.kind === 'limit') return (error.retryAfterMs ?? 0) <= LONGEST_LIMIT_MS
  return error.kind === 'conflict' || error.kind === 'unreachable'
}

/** From a quarter of a second doubling to ten, by chance up to half as long again; a provider's own wish goes first. */
function pauseMs(tried: number, error: unknown, clock: Clock): number {
  const wished = error instanceof DnsProviderError ? (error.retryAfterMs ?? 0) : 0
  const grown = Math.min(250 * 2 ** (tried - 1), 10_000) * (1 + clock.random() / 2)
  return Math.max(wished, grown)
}
