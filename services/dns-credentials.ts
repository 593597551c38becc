import { DNS_CREDENTIALS } from './challenge/providers.ts'
import { dnsProviders, isEnvironmentOnly as isKeptOut } from './dns-variables.ts'
import type { DnsProviderDescription, DnsVariable } from './dns-variables.ts'
import { SoakpError } from './errors.ts'
import type { OwnSecrets } from './own-secrets.ts'
import { createQueue } from './queue.ts'

/** Where the value of a variable is. */
export type CredentialPlace = 'environment' | 'vault' | 'nowhere'

/** A DNS provider as it is listed. No value of a variable is ever shown. */
export interface ListedProvider {
  readonly name: string
  readonly title: string
  readonly variables: readonly ListedVariable[]
}

/** A variable of a listed provider. */
export interface ListedVariable {
  readonly name: string
  readonly meaning: string
  readonly secret: boolean
  readonly optional: boolean
  /** It can be stored in the vault. */
  readonly storable: boolean
  readonly aliases: string[]
  readonly set_in: CredentialPlace
}

/** Stores credentials of DNS providers in the vault. They count where the environment holds none. */
export interface DnsCredentials {
  /** Lists every provider with its variables. */
  list(): Promise<readonly ListedProvider[]>
  /**
   * Stores a value in the vault; `place` is where the value that counts is now. Throws `SOAKP_DNS_VARIABLE_UNKNOWN` for
   * a name that no provider has, `SOAKP_DNS_VARIABLE_ENVIRONMENT` for one that the environment alone may set.
   */
  set(name: string, value: string): Promise<{ readonly name: string; readonly place: CredentialPlace }>
  /** Removes a value from the vault. Throws `SOAKP_DNS_VARIABLE_NOT_STORED` where there is none. */
  unset(name: string): Promise<{ readonly name: string; readonly place: CredentialPlace }>
}

/** Creates the keeper; `given` has what the environment holds, by name. */
export function createDnsCredentials(secrets: Pick<OwnSecrets, 'find' | 'replace'>, given: object): DnsCredentials {
  const inTurn = createQueue()

  async function stored(): Promise<Readonly<Record<string, string>>> {
    // The envelope is authenticated: what comes out is what `change` put in.
    return ((await secrets.find(DNS_CREDENTIALS)) ?? {}) as Record<string, string>
  }

  /** One change at a time, or one of two would be lost. */
  async function change(work: (values: Record<string, string>) => void): Promise<void> {
    return inTurn(async () => {
      const values = { ...(await stored()) }
      work(values)
      await secrets.replace(DNS_CREDENTIALS, values)
    })
  }

  return {
    async list() {
      const values = await stored()
      const placeOf = (name: string) => (name in given ? 'environment' : name in values ? 'vault' : 'nowhere')
      return Object.entries<DnsProviderDescription>(dnsProviders).map(([name, { title, variables }]) => ({
        name,
        title,
        variables: Object.entries(variables).map(([each, variable]) => listed(each, variable, placeOf(each))),
      }))
    },

    async set(asked, value) {
      const name = ownName(asked)
      assertStorable(name)
      await change((values) => {
        values[name] = value.trim()
      })
      return { name, place: name in given ? 'environment' : 'vault' }
    },

    async unset(asked) {
      const name = ownName(asked)
      await change((values) => {
        if (!(name in values)) {
          const message = `${name} is not stored in the vault. GET /soakp/dns/providers lists what is.`
          throw new SoakpError(404, 'SOAKP_DNS_VARIABLE_NOT_STORED', message)
        }
        delete values[name]
      })
      return { name, place: name in given ? 'environment' : 'nowhere' }
    },
  }
}

function listed(name: string, variable: DnsVariable, place: CredentialPlace): ListedVariable {
  const { meaning, aliases = [], isSecret, isOptional, isEnvironmentOnly } = variable
  return {
    name,
    meaning,
    secret: isSecret === true,
    optional: isOptional === true,
    storable: isEnvironmentOnly !== true,
    aliases: [...aliases],
    set_in: place,
  }
}

function assertStorable(name: string): void {
  if (!isKeptOut(name)) return
  const message = `${name} names a program, a file or an address and is set in the environment only: the vault holds credentials.`
  throw new SoakpError(400, 'SOAKP_DNS_VARIABLE_ENVIRONMENT', message)
}

/** Returns a variable's own name, which may be asked for by an alias. */
function ownName(asked: string): string {
  const all = Object.values<DnsProviderDescription>(dnsProviders).flatMap(({ variables }) => Object.entries(variables))
  const found = all.find(([name]) => name === asked) ?? all.find(([, { aliases }]) => aliases?.includes(asked))
  if (found !== undefined) return found[0]
  const message = 'No DNS provider reads a variable of this name. GET /soakp/dns/providers lists them all.'
  throw new SoakpError(404, 'SOAKP_DNS_VARIABLE_UNKNOWN', message)
}
