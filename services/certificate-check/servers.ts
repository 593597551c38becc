import type { DnsConfiguration } from '../acme-configuration.ts'
import type { ChallengeCheck } from '../challenge/check.ts'
import type { ChallengePlace } from '../challenge/index.ts'
import type { MetServer, ServerSet } from '../dns-wire/resolver-servers.ts'
import { fault, faultOf, ok, warning } from '../doctor/finding.ts'
import type { Result } from '../doctor/finding.ts'
import { SoakpError } from '../errors.ts'

const CLOSED =
  'Open port 53 (UDP and TCP) on the way out. As it is, SOAKP takes the word of the provider, or waits for SOAKP_DNS_DELAY_SECONDS.'

/** Checks that every address of every authoritative server of a place's zone answers from here. */
export async function checkServers(
  { name }: ChallengePlace,
  check: Pick<ChallengeCheck, 'serversOf'>,
  { policy }: Pick<DnsConfiguration, 'policy'>,
  signal: AbortSignal,
): Promise<Result[]> {
  try {
    return serverResults(await check.serversOf(name, signal), policy)
  } catch (error) {
    if (signal.aborted || !(error instanceof SoakpError)) throw error
    if (error.code === 'SOAKP_DNS_UNREACHABLE')
      return [{ ...faultOf(error, CLOSED), status: 'warning', remedy: CLOSED }]
    return [faultOf(error, 'Correct the delegation of the zone at its registrar.')]
  }
}

function serverResults({ zone, servers, warnings }: ServerSet, policy: DnsConfiguration['policy']): Result[] {
  const bad = servers.filter(({ state }) => state !== 'authoritative')
  const notes = warnings
    .filter((each) => !bad.some((server) => each.startsWith(`${server.name} (${server.address})`)))
    .map((each) => warning(each, `Look at the name servers of ${zone} at its registrar and in the zone itself.`))
  const count = `${servers.length} ${servers.length === 1 ? 'address' : 'addresses'}`
  if (servers.every(({ state }) => state === 'silent')) {
    return [
      warning(`None of the name servers of ${zone} can be asked from here (${textOf(servers)}).`, CLOSED),
      ...notes,
    ]
  }
  if (bad.length === 0) return [ok(`All name servers of ${zone} answer, ${count}.`), ...notes]
  const message = `Of the name servers of ${zone} these do not answer for it: ${textOf(bad)}.`
  const needed = policy === 'all' ? servers.length : Math.floor(servers.length / 2) + 1
  if (servers.length - bad.length >= needed)
    return [warning(message, 'Correct them, or remove them from the zone.'), ...notes]
  const remedy =
    policy === 'all'
      ? 'Correct them, or remove them from the zone. With SOAKP_DNS_POLICY=quorum more than half are enough.'
      : 'Correct them, or remove them from the zone: an authority may ask any of them.'
  return [fault(message, remedy), ...notes]
}

const STATES = { lame: 'is not authoritative', silent: 'is silent', authoritative: 'answers' }

function textOf(servers: readonly MetServer[]): string {
  if (servers.length === 0) return 'none has an address'
  return servers.map(({ name, address, state }) => `${name} (${address}) ${STATES[state]}`).join(', ')
}
