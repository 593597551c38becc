import { createHash } from 'node:crypto'
import type { DnsConfiguration } from '../acme-configuration.ts'
import type { Clock } from '../clock.ts'
import { isEnvironmentOnly } from '../dns-variables.ts'
import type { DnsVariableName } from '../dns-variables.ts'
import type { DnsProvider, ProviderName } from '../dns/index.ts'
import { openProvider } from '../dns/index.ts'
import { SoakpError } from '../errors.ts'
import type { OwnSecrets } from '../own-secrets.ts'
import { Secret } from '../secret.ts'

/** Where credentials that are stored by command lie in the vault: a document `{ NAME: value }`. */
export const DNS_CREDENTIALS = 'dns-credentials'

/** A configured provider, or why it could not be opened. */
export type OpenedProvider =
  | { readonly name: ProviderName; readonly provider: DnsProvider }
  | { readonly name: ProviderName; readonly error: unknown }

/** The configured providers, opened when they are first needed and again when the vault holds other credentials. */
export interface Providers {
  /** All of them, in the configured order. */
  all(): Promise<readonly OpenedProvider[]>
  /** Throws `SOAKP_DNS_PROVIDER` for one that is not configured, and what opening it throws. */
  find(name: string): Promise<DnsProvider>
  /** Closes what is open. May be called twice. */
  close(): Promise<void>
}

/** What providers are opened with; `open` is for tests. */
export interface ProvidersOptions {
  readonly configuration: DnsConfiguration
  readonly secrets: Pick<OwnSecrets, 'find'>
  readonly clock: Clock
  readonly open?: typeof openProvider
}

/** Creates the keeper of the configured providers. Credentials of the environment win over those in the vault. */
export function createProviders({ configuration, secrets, clock, open = openProvider }: ProvidersOptions): Providers {
  const opened = new Map<ProviderName, Promise<DnsProvider>>()
  let known = ''

  /** Closes the providers when the vault's credentials are others than those they were opened with. */
  async function readCredentials(): Promise<Partial<Record<DnsVariableName, Secret>>> {
    const stored = storedCredentials(await secrets.find(DNS_CREDENTIALS))
    const digest = digestOf(stored)
    if (digest !== known) await close()
    known = digest
    return { ...Object.fromEntries(stored), ...configuration.credentials }
  }

  async function find(name: string): Promise<DnsProvider> {
    const credentials = await readCredentials()
    const configured = configuration.providers.find((each) => each === name)
    if (configured === undefined) {
      const message = `The DNS provider \`${name}\` is not configured any more: add it to SOAKP_DNS.`
      throw new SoakpError(500, 'SOAKP_DNS_PROVIDER', message)
    }
    const before = opened.get(configured)
    if (before !== undefined) return before
    const opening = open(configured, { credentials, apiUrl: configuration.apiUrl, clock })
    opened.set(configured, opening)
    // One that did not open is tried again: its credentials may come later.
    opening.catch(() => opened.delete(configured))
    return opening
  }

  async function close(): Promise<void> {
    const closing = [...opened.values()].map(async (opening) => (await opening).close?.())
    opened.clear()
    await Promise.allSettled(closing)
  }

  return {
    find,
    close,

    async all() {
      const found: OpenedProvider[] = []
      for (const name of configuration.providers) {
        // In turn: the first may find that all have to be opened again.
        const result = await find(name).then(
          (provider) => ({ name, provider }),
          (error: unknown) => ({ name, error }),
        )
        found.push(result)
      }
      return found
    },
  }
}

function storedCredentials(document: unknown): [string, Secret][] {
  if (typeof document !== 'object' || document === null) return []
  return Object.entries(document).flatMap(([name, value]) =>
    typeof value === 'string' && !isEnvironmentOnly(name) ? [[name, new Secret(value)]] : [],
  )
}

/** Tells credentials from others without keeping them. */
function digestOf(stored: readonly (readonly [string, Secret])[]): string {
  const text = JSON.stringify(stored.map(([name, secret]) => [name, secret.reveal()]))
  return createHash('sha256').update(text).digest('hex')
}
