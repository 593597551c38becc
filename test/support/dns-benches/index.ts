import type { ProviderName } from '../../../services/dns/index.ts'
import type { BenchSetup } from './bench.ts'
import { cloudflare } from './cloudflare.ts'
import { exec } from './exec.ts'
import { httpreq } from './httpreq.ts'
import { rfc2136 } from './rfc2136.ts'
import { route53 } from './route53.ts'

/** What every provider is tested against. A new provider adds its bench here, and the contract suite runs over it. */
export const benches: Readonly<Record<ProviderName, BenchSetup>> = { rfc2136, cloudflare, route53, httpreq, exec }
