import { DnsProviderError } from '../dns-errors.ts'
import type { DnsVariableName } from '../dns-variables.ts'
import type { ProviderOptions } from '../dns/index.ts'
import type { Secret } from '../secret.ts'

/** Reads the variables of one provider. What is empty is absent. */
export interface Credentials {
  find(name: DnsVariableName): Secret | undefined
  /** Throws `DnsProviderError` of kind `credentials` where it is missing. */
  need(name: DnsVariableName): Secret
  /** Throws the error that tells what to set. */
  fail(advice: string): never
}

/** Creates the reader of a provider's variables. */
export function readCredentials(provider: string, title: string, { credentials }: ProviderOptions): Credentials {
  function fail(advice: string): never {
    throw new DnsProviderError(provider, 'credentials', `${title} cannot be used: ${advice}`)
  }

  function find(name: DnsVariableName): Secret | undefined {
    const secret = credentials[name]
    const value = secret?.reveal()
    if (value === undefined || value === '') return undefined
    if (/\p{Cc}/u.test(value)) return fail(`${name} contains a line break or another control character.`)
    return secret
  }

  function need(name: DnsVariableName): Secret {
    return find(name) ?? fail(`${name} is missing.`)
  }

  return { find, need, fail }
}
