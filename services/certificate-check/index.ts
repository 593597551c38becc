import type { AcmeConfiguration } from '../acme-configuration.ts'
import type { AcmeClient } from '../acme/index.ts'
import type { ChallengeCheck } from '../challenge/check.ts'
import type { ChallengePlace } from '../challenge/index.ts'
import { ok, scrubbed, skipped } from '../doctor/finding.ts'
import type { Finding, Result } from '../doctor/finding.ts'
import { askAuthorities, checkClock, checkDirectories, checkExternalAccount, checkProfiles } from './authorities.ts'
import { inGroups } from './groups.ts'
import { checkPermissions } from './permissions.ts'
import { checkAliases, checkCredentials, checkZones, locateAll } from './places.ts'
import { checkRecord } from './record.ts'
import { checkServers } from './servers.ts'

/** What the check is made of. */
export interface CertificateCheckOptions {
  readonly configuration: AcmeConfiguration
  readonly check: ChallengeCheck
  /** A client that only reads the directory. */
  readonly createClient: (directoryUrl: string) => AcmeClient
  /** The URL of our account at a directory. */
  readonly accountOf: (directoryUrl: string) => Promise<string | undefined>
}

/**
 * Looks for what would go wrong when a certificate is ordered, before an authority is asked for anything. Writes a record
 * in each zone and removes it. Rejects only when aborted.
 */
export async function checkCertificate(options: CertificateCheckOptions, signal: AbortSignal): Promise<Finding[]> {
  const { configuration, check } = options
  const { names } = configuration
  const domains = [...new Set(names.map((name) => name.replace(/^\*\./, '')))]
  const asked = await askAuthorities(configuration, options.createClient, signal)
  const opened = await check.providers()
  const isOpen = opened.some((each) => 'provider' in each)
  const findings: Finding[] = [
    ...named('names', [ok(`${names.length === 1 ? 'It is' : 'They are'} ${names.join(', ')}.`)]),
    ...named('directory', checkDirectories(asked)),
    ...named('external-account', [checkExternalAccount(asked, configuration)]),
    ...named('profile', [checkProfiles(asked, configuration)]),
    ...named('clock', [checkClock(asked)]),
    ...named('credentials', checkCredentials(opened)),
  ]
  const located = isOpen ? await locateAll(domains, check, signal) : []
  const zones = isOpen ? checkZones(located) : [skipped('Not checked: first credentials must be right.')]
  findings.push(...named('zone', zones), ...named('alias', checkAliases(located)))
  const places = onePerZone(located.flatMap(({ place }) => (place === undefined ? [] : [place])))
  const servers = await inGroups(places, async (place) => checkServers(place, check, configuration.dns, signal))
  findings.push(...named('name-servers', servers.flat()))
  const permissions = await checkPermissions({ ...options, names, asked }, signal)
  findings.push(...named('caa', permissions))
  const records = await inGroups(places, async (place) => checkRecord(place, check, signal))
  findings.push(
    ...named('record', places.length === 0 ? [skipped('Not checked: first zone must be right.')] : records.flat()),
  )
  return findings
}

function named(check: string, results: readonly Result[]): Finding[] {
  return results.map((result) => scrubbed({ check, ...result }))
}

/** What holds for one name of a zone holds for the others. */
function onePerZone(places: readonly ChallengePlace[]): ChallengePlace[] {
  return [...new Map(places.map((place) => [`${place.zone.name} ${place.provider}`, place])).values()]
}
