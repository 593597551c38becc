import type { DnsConfiguration } from '../acme-configuration.ts'
import type { Clock } from '../clock.ts'
import type { Resolver } from '../dns-wire/resolver.ts'
import { createResolver } from '../dns-wire/resolver.ts'
import type { openProvider } from '../dns/index.ts'
import type { OwnSecrets } from '../own-secrets.ts'
import type { Challenger } from './index.ts'
import { CHECK_JOURNAL, createJournal } from './journal.ts'
import { locate } from './place.ts'
import { createProviders } from './providers.ts'
import { createRecords } from './records.ts'
import { waitUntilServed } from './served.ts'
import { sweep } from './sweep.ts'
import { createTxtWriter } from './txt-writer.ts'

/** What a challenger is made of. `resolver` and `open` are for tests. */
export interface ChallengerOptions {
  readonly configuration: DnsConfiguration
  readonly secrets: Pick<OwnSecrets, 'find' | 'replace'>
  readonly clock: Clock
  readonly resolver?: Resolver
  readonly open?: typeof openProvider
}

/** Creates the challenger of the configured providers. */
export function createChallenger(options: ChallengerOptions): Challenger {
  const { configuration, secrets, clock } = options
  const resolver = options.resolver ?? createResolver(configuration)
  const providers = createProviders(options)
  const writer = createTxtWriter(clock)
  const [journal, ofChecks] = [createJournal(secrets), createJournal(secrets, CHECK_JOURNAL)]
  const records = createRecords({ providers, writer, journal, clock })
  const recordsOfChecks = createRecords({ providers, writer, journal: ofChecks, clock })

  return {
    ...records,

    locate: async (domain, signal) => locate({ resolver, providers }, domain, signal),

    async waitUntilServed(place, values, signal) {
      const provider = await providers.find(place.provider)
      return waitUntilServed({ resolver, clock, configuration }, { place, values, provider }, signal)
    },

    async sweep(keep, signal) {
      const own = await sweep(journal, records, keep, signal)
      const checks = await sweep(ofChecks, recordsOfChecks, keep, signal)
      return { removed: [...own.removed, ...checks.removed], failed: [...own.failed, ...checks.failed] }
    },

    close: async () => providers.close(),
  }
}
