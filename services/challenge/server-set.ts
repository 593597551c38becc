import type { ServerSet } from '../dns-wire/resolver-servers.ts'
import { SoakpError } from '../errors.ts'
import type { ChallengePlace } from './index.ts'
import type { ServedOptions } from './served-options.ts'

/** How often nobody has to answer before port 53 counts as closed. */
export const SILENT_TRIES = 2
const PAUSE_MS = 5000

/**
 * Finds the servers that a wait asks, or why none can be asked. Servers that do not answer for their zone may be about
 * to start: they get as long as the wait.
 */
export async function findServerSet(
  { resolver, clock, configuration }: ServedOptions,
  place: ChallengePlace,
  start: number,
  signal: AbortSignal,
): Promise<ServerSet | string> {
  for (let tried = 1; ; tried += 1) {
    try {
      const set = await resolver.serversOf(place.name, { signal, hidden: place.domain })
      return set.servers.length > 0 ? set : `No address of a server of \`${set.zone}\` can be asked from this machine`
    } catch (error) {
      signal.throwIfAborted()
      const code = error instanceof SoakpError ? error.code : undefined
      const isSilent = code === 'SOAKP_DNS_UNREACHABLE'
      if (isSilent && tried >= SILENT_TRIES) return (error as SoakpError).message.replace(/\.$/, '')
      const isLate = clock.now() - start >= configuration.waitMs
      if (isLate || !(isSilent || code === 'SOAKP_DNS_LAME')) throw error
    }
    await clock.sleep(PAUSE_MS, signal)
  }
}
