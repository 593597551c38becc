import type { ChallengeCheck } from '../challenge/check.ts'
import type { ChallengePlace } from '../challenge/index.ts'
import type { OpenedProvider } from '../challenge/providers.ts'
import { faultOf, ok, warning } from '../doctor/finding.ts'
import type { Result } from '../doctor/finding.ts'
import { SoakpError } from '../errors.ts'
import { inGroups } from './groups.ts'

/** Where the challenge of a domain goes, or why that cannot be told. */
export interface LocatedDomain {
  readonly domain: string
  readonly place: ChallengePlace | undefined
  readonly error: SoakpError | undefined
}

/** Checks that each configured provider has what it needs. */
export function checkCredentials(opened: readonly OpenedProvider[]): Result[] {
  return opened.map((each) => {
    if ('provider' in each) return ok(`What ${each.name} needs is set.`)
    const remedy =
      'Set it in the environment. `soakp dns providers` lists what each reads, and what `soakp dns set` may store instead.'
    return faultOf(asError(each.error), remedy)
  })
}

/** Finds where each domain is proved. */
export async function locateAll(
  domains: readonly string[],
  check: Pick<ChallengeCheck, 'locate'>,
  signal: AbortSignal,
): Promise<LocatedDomain[]> {
  return inGroups(domains, async (domain) => {
    try {
      return { domain, place: await check.locate(domain, signal), error: undefined }
    } catch (error) {
      if (signal.aborted || !(error instanceof SoakpError)) throw error
      return { domain, place: undefined, error }
    }
  })
}

/** Checks that a provider holds the zone of each domain. */
export function checkZones(located: readonly LocatedDomain[]): Result[] {
  const faults = located.flatMap(({ domain, error }) => {
    if (error === undefined) return []
    const remedy = 'Look whether SOAKP_DNS names the provider whose name servers the domain has, and its credentials.'
    const result = faultOf(error, remedy)
    return [{ ...result, message: result.message.includes(domain) ? result.message : `${domain}: ${result.message}` }]
  })
  const zones = Map.groupBy(
    located.flatMap(({ place }) => (place === undefined ? [] : [place])),
    ({ provider, zone }) => `${zone.name} at ${provider}`,
  )
  const found = [...zones].map(([zone, places]) =>
    ok(`${placesText(places)} ${places.length === 1 ? 'is' : 'are'} proved in the zone ${zone}.`),
  )
  return [...faults, ...found]
}

/** Checks where challenges are led to by aliases (CNAME). */
export function checkAliases(located: readonly LocatedDomain[]): Result[] {
  return located.flatMap(({ domain, place }) => {
    if (place === undefined) return []
    const first = `_acme-challenge.${domain}`
    const warnings = (place.warnings ?? []).map((each) =>
      warning(each, `Give \`${first}\` a CNAME of its own if it shall lead away, or remove the wildcard.`),
    )
    if (place.name === first) return warnings
    return [...warnings, ok(`${first} leads to ${place.name}, where its records are written.`)]
  })
}

const MOST_NAMED = 5

function placesText(places: readonly ChallengePlace[]): string {
  const named = places.slice(0, MOST_NAMED).map(({ domain }) => domain)
  const more = places.length - named.length
  return more === 0 ? named.join(', ') : `${named.join(', ')} and ${more} more`
}

function asError(error: unknown): { readonly message: string } {
  if (error instanceof SoakpError) return error
  return { message: `The provider cannot be opened: ${error instanceof Error ? error.message : String(error)}` }
}
