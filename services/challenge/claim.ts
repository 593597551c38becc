import { isWithin, parentOf, suffixesOf } from '../dns-wire/query-name.ts'
import type { DnsProvider, Zone } from '../dns/index.ts'
import { SoakpError } from '../errors.ts'
import type { OpenedProvider, Providers } from './providers.ts'

/** Which provider writes a name, and in which of its zones. */
export interface Claim {
  readonly title: string
  readonly provider: DnsProvider
  readonly zone: Zone
}

/**
 * Chooses the provider that writes a name. `served` is the zone that the name is in as DNS sees it, where it can be
 * asked: the provider that holds this zone is right, one that holds another is not. Without it the longest zone wins.
 * Providers that cannot tell their zones take what no other claims. Throws `SOAKP_DNS_ZONE` when nobody holds the name.
 */
export async function claim(
  providers: Providers,
  name: string,
  served: string | undefined,
  signal: AbortSignal,
): Promise<Claim> {
  const opened = await providers.all()
  const claims: Claim[] = []
  const faults = opened.flatMap((each) => ('error' in each ? [each.error] : []))
  for (const each of opened) {
    if ('error' in each) continue
    try {
      claims.push(...(await zonesOf(each, name, served, signal)))
    } catch (error) {
      signal.throwIfAborted()
      faults.push(error)
    }
  }
  const [best] = claims.toSorted((one, other) => rank(other.zone, served) - rank(one.zone, served))
  if (best !== undefined && (served === undefined || best.zone.name === served)) return best
  // Another provider that holds the zone may be the one that could not be asked.
  if (faults.length > 0) throw faults[0]
  const open = opened.find((each) => 'provider' in each && each.provider.findZone === undefined)
  if (open !== undefined && 'provider' in open) {
    return { title: open.name, provider: open.provider, zone: { name: served ?? parentOf(name) } }
  }
  throw noZone(opened, name, served, best?.zone)
}

async function zonesOf(
  opened: Extract<OpenedProvider, { provider: unknown }>,
  name: string,
  served: string | undefined,
  signal: AbortSignal,
): Promise<Claim[]> {
  const { name: title, provider } = opened
  const longest = await provider.findZone?.(name, signal)
  if (longest === undefined || !isWithin(name, longest.name)) return []
  const claims = [{ title, provider, zone: longest }]
  if (served === undefined || longest.name === served || !isWithin(longest.name, served)) return claims
  // The account holds a longer zone that is not delegated to; the one above it may be its own too.
  const shorter = await provider.findZone?.(served, signal)
  return shorter === undefined ? claims : [...claims, { title, provider, zone: shorter }]
}

function rank(zone: Zone, served: string | undefined): number {
  return zone.name === served ? Number.POSITIVE_INFINITY : zone.name.length
}

function noZone(
  opened: readonly OpenedProvider[],
  name: string,
  served: string | undefined,
  nearest: Zone | undefined,
): SoakpError {
  const titles = opened.map((each) => each.name).join(', ')
  const error = (what: string, advice: string) => new SoakpError(502, 'SOAKP_DNS_ZONE', `${what}. ${advice}.`)
  if (served === undefined) {
    return error(
      `No account of ${titles} holds a zone of \`${name}\`, and no authoritative server of it can be asked`,
      'Look whether the name is spelled right, and its zone delegated to name servers that run',
    )
  }
  if (nearest !== undefined) {
    return error(
      `The account holds the zone \`${nearest.name}\`, but by its name servers \`${name}\` is in the zone \`${served}\``,
      'Delegate the former at its registrar, or name the provider that holds the latter in SOAKP_DNS',
    )
  }
  if (!served.includes('.')) {
    const domain = suffixesOf(name)[1] ?? name
    return error(
      `\`${domain}\` is not delegated: there are no name servers of it`,
      'Look whether the name is spelled right, and set its name servers at its registrar',
    )
  }
  return error(
    `\`${name}\` is in the zone \`${served}\`, which no account of ${titles} holds`,
    'Look whether the name is spelled right, check the account, or name the provider that holds the zone in SOAKP_DNS',
  )
}
