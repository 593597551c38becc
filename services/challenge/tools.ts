import type { DnsConfiguration } from '../acme-configuration.ts'
import type { Clock } from '../clock.ts'
import { createResolver } from '../dns-wire/resolver.ts'
import type { Resolver } from '../dns-wire/resolver.ts'
import type { openProvider } from '../dns/index.ts'
import type { OwnSecrets } from '../own-secrets.ts'
import type { Challenger, Journal } from './index.ts'
import { createJournal } from './journal.ts'
import { locate } from './place.ts'
import { createProviders } from './providers.ts'
import type { Providers } from './providers.ts'
import { createRecords } from './records.ts'
import type { Records } from './records.ts'
import { waitUntilServed } from './served.ts'
import { createTxtWriter } from './txt-writer.ts'
import type { TxtWriter } from './txt-writer.ts'

/** What challenges are made with. `resolver` and `open` are for tests. */
export interface ChallengerOptions {
  readonly configuration: DnsConfiguration
  readonly secrets: Pick<OwnSecrets, 'find' | 'replace'>
  readonly clock: Clock
  readonly resolver?: Resolver
  readonly open?: typeof openProvider
}

/** What the challenger and the check of `soakp acme check` share. */
export interface ChallengeTools extends Pick<Challenger, 'locate' | 'waitUntilServed'> {
  readonly resolver: Resolver
  readonly providers: Providers
  readonly writer: TxtWriter
  /** Creates what writes records that are noted in the journal of this id. */
  readonly recordsOf: (journalId?: string) => { readonly journal: Journal; readonly records: Records }
}

/** Creates the tools. */
export function createTools(options: ChallengerOptions): ChallengeTools {
  const { configuration, secrets, clock } = options
  const resolver = options.resolver ?? createResolver(configuration)
  const providers = createProviders(options)
  const writer = createTxtWriter(clock)

  return {
    resolver,
    providers,
    writer,

    locate: async (domain, signal) => locate({ resolver, providers }, domain, signal),

    async waitUntilServed(place, values, signal) {
      const provider = await providers.find(place.provider)
      return waitUntilServed({ resolver, clock, configuration }, { place, values, provider }, signal)
    },

    recordsOf(journalId) {
      const journal = createJournal(secrets, journalId)
      return { journal, records: createRecords({ providers, writer, journal, clock }) }
    },
  }
}
