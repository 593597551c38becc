import type { Clock } from '../clock.ts'
import type { DnsVariableName } from '../dns-variables.ts'
import type { Secret } from '../secret.ts'

/** A zone of the provider's account. */
export interface Zone {
  /** Lower-case name without the last dot, `example.com`. */
  readonly name: string
  /** What the API calls it, where that is not its name. */
  readonly id?: string
}

/** A TXT value at a name. Names are lower-case A-labels without the last dot; values are plain text, never quoted. */
export interface TxtRecord {
  readonly zone: Zone
  readonly name: string
  readonly value: string
}

/** The values at one name as they were read, with whatever the API wants to see again when they are written. */
export interface TxtSet {
  readonly values: readonly string[]
  readonly ttlSeconds?: number
  /** Opaque to the core: an etag, the settings of the whole zone, the old record set. */
  readonly state?: unknown
}

interface AnyProvider {
  /** The longest zone of the account that holds `name`, matched at label boundaries over all pages; undefined if none does. Absent where the API cannot tell: the zone is then found by DNS. */
  findZone?(name: string, signal: AbortSignal): Promise<Zone | undefined>
  /** Waits until the provider itself says that all its servers have what was written. Absent where it cannot tell. */
  settle?(zone: Zone, signal: AbortSignal): Promise<void>
  /** How many values may stand at one name at a time: with `one` the core proves names that share one in turn. */
  readonly valuesPerName: 'many' | 'one'
  /** Ends connections. May be called twice. */
  close?(): Promise<void>
}

/** An API that adds and removes single values. Both may be repeated: what is there already, or gone already, is fine. */
export interface AppendingProvider extends AnyProvider {
  readonly writes: 'values'
  add(record: TxtRecord, signal: AbortSignal): Promise<void>
  /** Removes exactly this value and nothing else. */
  remove(record: TxtRecord, signal: AbortSignal): Promise<void>
  /** The values at a name. Absent where the API cannot tell. */
  list?(zone: Zone, name: string, signal: AbortSignal): Promise<readonly string[]>
}

/**
 * An API that writes all values of a name, or its whole zone, at once. The core merges, one write at a time in each
 * `scope`, reads again afterwards, and repeats when somebody else wrote in between.
 */
export interface ReplacingProvider extends AnyProvider {
  readonly writes: 'sets'
  readonly scope: 'name' | 'zone'
  /** Where there are no values: undefined, or no values and the `state` that `write` needs. */
  read(zone: Zone, name: string, signal: AbortSignal): Promise<TxtSet | undefined>
  /**
   * Puts `values` in place of `before`; no values means that the record set is deleted. Throws `DnsProviderError` of
   * kind `conflict` where the API tells that somebody else has written since `before` was read.
   */
  write(
    record: Omit<TxtRecord, 'value'>,
    values: readonly string[],
    before: TxtSet | undefined,
    signal: AbortSignal,
  ): Promise<void>
}

/** What the core needs of a DNS provider. Everything throws `DnsProviderError`, and rejects at once when aborted. */
export type DnsProvider = AppendingProvider | ReplacingProvider

/** What a provider is made with. */
export interface ProviderOptions {
  /** The value of a variable, by its own name. */
  readonly credentials: Readonly<Partial<Record<DnsVariableName, Secret>>>
  /** SOAKP_DNS_API_URL, checked: https, or http on loopback; without a slash at the end. For providers with an address of their own. */
  readonly apiUrl: string | undefined
  readonly clock: Clock
}

const providers = {
  rfc2136: () => import('./rfc2136.ts'),
  cloudflare: () => import('./cloudflare.ts'),
  route53: () => import('./route53.ts'),
  httpreq: () => import('./httpreq.ts'),
  exec: () => import('./exec.ts'),
}

/** The name of a provider, as SOAKP_DNS has it. */
export type ProviderName = keyof typeof providers

/** Every provider's name. */
export const providerNames = Object.keys(providers) as readonly ProviderName[]

/** Opens a provider. Throws `DnsProviderError` of kind `credentials` when a needed variable is missing. */
export async function openProvider(name: ProviderName, options: ProviderOptions): Promise<DnsProvider> {
  return (await providers[name]()).createProvider(options)
}
