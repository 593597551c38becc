import type { Clock } from '../clock.ts'
import type { ChallengePlace, Journal } from './index.ts'
import type { Providers } from './providers.ts'
import type { TxtWriter } from './txt-writer.ts'

/** Writes and removes values so that a killed process leaves none behind that is not noted. */
export interface Records {
  write(place: ChallengePlace, value: string, signal: AbortSignal): Promise<void>
  remove(place: ChallengePlace, value: string, signal: AbortSignal): Promise<void>
}

/** What records are written with. */
export interface RecordsOptions {
  readonly providers: Providers
  readonly writer: TxtWriter
  readonly journal: Journal
  readonly clock: Clock
}

/** Creates the records of a journal: noted before they are written, forgotten after they are gone. */
export function createRecords({ providers, writer, journal, clock }: RecordsOptions): Records {
  return {
    async write(place, value, signal) {
      const provider = await providers.find(place.provider)
      await journal.add({ place, value, at: clock.now() })
      await writer.put(provider, place, value, signal)
    },

    async remove(place, value, signal) {
      await writer.take(await providers.find(place.provider), place, value, signal)
      await journal.forget({ place, value })
    },
  }
}
