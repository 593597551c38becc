import type { DnsConfiguration } from '../acme-configuration.ts'
import type { Clock } from '../clock.ts'
import type { Resolver } from '../dns-wire/resolver.ts'
import type { DnsProvider } from '../dns/index.ts'
import type { ChallengePlace } from './index.ts'

/** What a wait for the servers needs. */
export interface ServedOptions {
  readonly resolver: Resolver
  readonly clock: Clock
  readonly configuration: Pick<DnsConfiguration, 'policy' | 'waitMs' | 'delayMs'>
}

/** What is waited for: values at a place, and the provider that may tell when they are out. */
export interface AwaitedValues {
  readonly place: ChallengePlace
  readonly values: readonly string[]
  readonly provider: DnsProvider
}
