import type { DnsConfiguration } from '../acme-configuration.ts'
import type { Clock } from '../clock.ts'
import { createResolver } from '../dns-wire/resolver.ts'
import type { Resolver } from '../dns-wire/resolver.ts'
import type { openProvider } from '../dns/index.ts'
import type { OwnSecrets } from '../own-secrets.ts'
import type { Challenger } from './index.ts'
import { createJournal } from './journal.ts'
import { locate } from './place.ts'
import { createProviders } from './providers.ts'
import { createRecords } from './records.ts'
import { waitUntilServed } from './served.ts'
import { createTxtWriter } from './txt-writer.ts'

/** What challenges are made with. `resolver` and `open` are for tests. */
export interface ChallengerOptions {
  readonly configuration: DnsConfiguration
  readonly secrets: Pick<OwnSecrets, 'find' | 'replace'>
  readonly clock: Clock
  readonly resolver?: Resolver
  readonly open?: typeof openProvider
}

/** Creates what the challenger and the check of `soakp acme check` share. */
export function createTools(options: ChallengerOptions) {
  const { configuration, secrets, clock } = options
  const resolver = options.resolver ?? createResolver(configuration)
  const providers = createProviders(options)
  const writer = createTxtWriter(clock)

  const located: Challenger['locate'] = async (domain, signal) => locate({ resolver, providers }, domain, signal)

  const served: Challenger['waitUntilServed'] = async (place, values, signal) => {
    const provider = await providers.find(place.provider)
    return waitUntilServed({ resolver, clock, configuration }, { place, values, provider }, signal)
  }

  /** Records that are noted in the journal of this id. */
  function recordsOf(id?: string) {
    const journal = createJournal(secrets, id)
    return { journal, records: createRecords({ providers, writer, journal, clock }) }
  }

  return { resolver, providers, writer, locate: located, waitUntilServed: served, recordsOf }
}
