import type { ServerSet } from '../dns-wire/resolver-servers.ts'
import type { RelevantCaa } from './caa.ts'
import { findCaa } from './caa.ts'
import type { ChallengePlace } from './index.ts'
import { CHECK_JOURNAL } from './journal.ts'
import type { ProbeReport } from './probe.ts'
import { probe } from './probe.ts'
import type { OpenedProvider } from './providers.ts'
import { createTools } from './tools.ts'
import type { ChallengerOptions } from './tools.ts'

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
  const { clock } = options
  const { resolver, providers, writer, locate, waitUntilServed, recordsOf } = createTools(options)
  const { records } = recordsOf(CHECK_JOURNAL)

  return {
    providers: async () => providers.all(),
    locate,
    probe: async (place, signal) => probe({ providers, writer, records, clock, waitUntilServed }, place, signal),
    serversOf: async (name, signal) => resolver.serversOf(name, { signal, hidden: name }),
    caaOf: async (domain, signal) => findCaa(resolver, domain, signal),
    close: async () => providers.close(),
  }
}
