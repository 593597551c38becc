import { createResolver } from '../dns-wire/resolver.ts'
import type { ServerSet } from '../dns-wire/resolver-servers.ts'
import type { RelevantCaa } from './caa.ts'
import { findCaa } from './caa.ts'
import type { ChallengerOptions } from './challenger.ts'
import type { ChallengePlace } from './index.ts'
import { CHECK_JOURNAL, createJournal } from './journal.ts'
import { locate } from './place.ts'
import type { ProbeReport } from './probe.ts'
import { probe } from './probe.ts'
import type { OpenedProvider } from './providers.ts'
import { createProviders } from './providers.ts'
import { createRecords } from './records.ts'
import { waitUntilServed } from './served.ts'
import { createTxtWriter } from './txt-writer.ts'

/** What `soakp acme check` finds out about DNS before a certificate authority is asked for anything. */
export interface ChallengeCheck {
  /** The configured providers, or why each cannot be opened. */
  providers(): Promise<readonly OpenedProvider[]>
  /** As `Challenger.locate`. */
  locate(domain: string, signal: AbortSignal): Promise<ChallengePlace>
  /** Writes, reads and removes a value at the place, or beside it in its zone where only one value may stand. */
  probe(place: ChallengePlace, signal: AbortSignal): Promise<ProbeReport>
  /** All servers of the zone that holds a name, and what is wrong with them. */
  serversOf(name: string, signal: AbortSignal): Promise<ServerSet>
  /** The CAA records that hold for a domain. */
  caaOf(domain: string, signal: AbortSignal): Promise<RelevantCaa | undefined>
  close(): Promise<void>
}

/** Creates the check, which may run in a process beside the server's. */
export function createChallengeCheck(options: ChallengerOptions): ChallengeCheck {
  const { configuration, secrets, clock } = options
  const resolver = options.resolver ?? createResolver(configuration)
  const providers = createProviders(options)
  const writer = createTxtWriter(clock)
  const records = createRecords({ providers, writer, journal: createJournal(secrets, CHECK_JOURNAL), clock })

  const wait = async (place: ChallengePlace, values: readonly string[], signal: AbortSignal) => {
    const provider = await providers.find(place.provider)
    return waitUntilServed({ resolver, clock, configuration }, { place, values, provider }, signal)
  }

  return {
    providers: async () => providers.all(),
    locate: async (domain, signal) => locate({ resolver, providers }, domain, signal),
    probe: async (place, signal) => probe({ providers, writer, records, clock, waitUntilServed: wait }, place, signal),
    serversOf: async (name, signal) => resolver.serversOf(name, { signal, hidden: name }),
    caaOf: async (domain, signal) => findCaa(resolver, domain, signal),
    close: async () => providers.close(),
  }
}
