import { randomBytes } from 'node:crypto'
import type { Clock } from '../clock.ts'
import { SoakpError } from '../errors.ts'
import type { ChallengePlace, ServedReport } from './index.ts'
import type { Providers } from './providers.ts'
import type { Records } from './records.ts'
import type { TxtWriter } from './txt-writer.ts'

/** How a step of a probe went; `error` is undefined when it went well. */
export interface ProbeStep {
  /** `read` asks the provider, `serve` the authoritative servers; `remove` is tried whatever went wrong before. */
  readonly step: 'write' | 'read' | 'serve' | 'remove'
  readonly durationMs: number
  readonly error: unknown
}

/** What a probe found. */
export interface ProbeReport {
  /** Where the value was written. */
  readonly name: string
  readonly steps: readonly ProbeStep[]
  readonly served: ServedReport | undefined
}

/** What a probe is made with. */
export interface ProbeOptions {
  readonly providers: Providers
  readonly writer: TxtWriter
  readonly records: Records
  readonly clock: Clock
  readonly waitUntilServed: (
    place: ChallengePlace,
    values: readonly string[],
    signal: AbortSignal,
  ) => Promise<ServedReport>
}

/**
 * Writes a random value, reads it back, waits for the servers and removes it. A step that fails is told in the report;
 * rejects only when aborted. What it leaves behind then is removed by the next sweep.
 */
export async function probe(options: ProbeOptions, place: ChallengePlace, signal: AbortSignal): Promise<ProbeReport> {
  const { providers, writer, records, clock } = options
  // Good credentials may write the challenge's own name and no other. Where one value alone may stand, it is left free.
  const random = `_soakp-check-${randomBytes(6).toString('hex')}.${place.zone.name}`
  const name = place.valuesPerName === 'many' ? place.name : random
  const value = randomBytes(32).toString('base64url')
  const there = { ...place, name }
  const steps: ProbeStep[] = []
  let served: ServedReport | undefined

  async function take(step: ProbeStep['step'], run: () => Promise<void>): Promise<boolean> {
    const start = clock.now()
    let error: unknown
    try {
      await run()
    } catch (thrown) {
      signal.throwIfAborted()
      error = thrown
    }
    steps.push({ step, durationMs: clock.now() - start, error })
    return error === undefined
  }

  async function isListed(): Promise<boolean | undefined> {
    const values = await writer.list(await providers.find(place.provider), there, signal)
    return values?.includes(value)
  }

  const isWritten = await take('write', async () => records.write(there, value, signal))
  if (isWritten) {
    await take('read', async () => {
      if ((await isListed()) === false) throw fault('The provider took the record and does not list it.')
    })
    await take('serve', async () => {
      served = await options.waitUntilServed(there, [value], signal)
    })
  }
  await take('remove', async () => {
    await records.remove(there, value, signal)
    if (await isListed()) throw fault('The provider removed the record and still lists it.')
  })
  return { name, steps, served }
}

function fault(message: string): SoakpError {
  return new SoakpError(502, 'SOAKP_DNS_PROBE', message)
}
