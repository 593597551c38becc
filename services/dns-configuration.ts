import { isIP } from 'node:net'
import { formatServerAddress, parseServerAddress } from './dns-wire/server-address.ts'
import { dnsProviders } from './dns-variables.ts'
import type { DnsProviderDescription, DnsVariableName } from './dns-variables.ts'
import { providerNames } from './dns/index.ts'
import type { ProviderName } from './dns/index.ts'
import type { EnvironmentReader } from './environment.ts'
import { Secret } from './secret.ts'
import { serviceUrl } from './service-url.ts'
import { choice, invalid, parts, whole } from './setting-values.ts'

/** How DNS records are written and looked for. */
export interface DnsConfiguration {
  /** In order of preference, where several hold zones. */
  readonly providers: readonly ProviderName[]
  /** What the environment holds; what it does not hold may be in the vault. */
  readonly credentials: Readonly<Partial<Record<DnsVariableName, Secret>>>
  /** `host:port`, or those of the system when empty. */
  readonly resolvers: readonly string[]
  readonly apiUrl: string | undefined
  /** Which addresses of the authoritative servers must have the values: all, or more than half. */
  readonly policy: 'all' | 'quorum'
  /** How long servers get to have them. */
  readonly waitMs: number
  /** How long is waited instead where no authoritative server can be asked and the provider cannot tell. */
  readonly delayMs: number
}

/** These have no API that could be elsewhere: their address is among their variables. */
const WITHOUT_API: readonly ProviderName[] = ['rfc2136', 'httpreq', 'exec']

/** Reads how DNS records are written. Throws `SOAKP_CONFIGURATION`; credentials that are missing may be in the vault. */
export function readDns(reader: EnvironmentReader): DnsConfiguration {
  const providers = readProviders(reader)
  return {
    providers,
    credentials: readCredentials(reader, providers),
    resolvers: readResolvers(reader),
    apiUrl: readApiUrl(reader, providers),
    policy: choice(reader, 'SOAKP_DNS_POLICY', ['all', 'quorum']),
    waitMs: whole(reader, 'SOAKP_DNS_WAIT_SECONDS', 1, 86_400) * 1_000,
    delayMs: whole(reader, 'SOAKP_DNS_DELAY_SECONDS', 0, 86_400) * 1_000,
  }
}

function readProviders(reader: EnvironmentReader): ProviderName[] {
  const known = providerNames.join(', ')
  const value = reader.text('SOAKP_DNS')
  if (value === undefined) {
    throw invalid(`SOAKP_DOMAIN needs SOAKP_DNS: the provider that keeps the DNS records of the domain, of ${known}.`)
  }
  const providers = parts(value).map((text) => {
    // As certbot spells its plug-ins.
    const name = text.toLowerCase().replace(/^(?:certbot-)?dns-/, '')
    const provider = providerNames.find((each) => each === name)
    if (provider === undefined) throw invalid(`SOAKP_DNS must be one or more of ${known}; "${text}" is none.`)
    return provider
  })
  return [...new Set(providers)]
}

function readCredentials(
  reader: EnvironmentReader,
  providers: readonly ProviderName[],
): DnsConfiguration['credentials'] {
  const credentials: Partial<Record<string, Secret>> = {}
  for (const provider of providers) {
    const { variables }: DnsProviderDescription = dnsProviders[provider]
    for (const [name, variable] of Object.entries(variables)) {
      const value = reader.credential(name, variable)
      if (value !== undefined) credentials[name] = new Secret(value)
    }
  }
  return credentials
}

function readResolvers(reader: EnvironmentReader): string[] {
  return parts(reader.text('SOAKP_DNS_RESOLVERS') ?? '').map((text) => {
    const server = parseServerAddress(text)
    // A resolver's name would need another resolver.
    if (server !== undefined && isIP(server.host) !== 0) return formatServerAddress(server)
    throw invalid(
      `SOAKP_DNS_RESOLVERS must hold addresses like 9.9.9.9, 127.0.0.1:5353 or [2620:fe::fe]:53; "${text}" is none.`,
    )
  })
}

/** The address of one provider's API must not get the credentials of another. */
function readApiUrl(reader: EnvironmentReader, providers: readonly ProviderName[]): string | undefined {
  const value = reader.text('SOAKP_DNS_API_URL')
  if (value === undefined) return undefined
  const withApi = providers.filter((each) => !WITHOUT_API.includes(each))
  if (withApi.length === 0) {
    throw invalid(`SOAKP_DNS_API_URL is not read by ${providers.join(', ')}: the address is among its own variables.`)
  }
  if (withApi.length > 1) {
    throw invalid(`SOAKP_DNS_API_URL is the address of one provider's API, and SOAKP_DNS names ${withApi.join(', ')}.`)
  }
  const url = serviceUrl(value)
  if (url !== undefined) return url
  throw invalid(`SOAKP_DNS_API_URL must be an https URL, or http on this machine; "${value}" is none.`)
}
