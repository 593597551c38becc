import { randomBytes } from 'node:crypto'
import { isAskable } from '../dns-wire/query-name.ts'
import { targetsOf } from '../dns-wire/query-answer.ts'
import type { FoundName } from '../dns-wire/resolver-descent.ts'
import type { Resolver } from '../dns-wire/resolver.ts'
import { SoakpError } from '../errors.ts'
import type { ChallengePlace } from './index.ts'
import type { Providers } from './providers.ts'
import { claim } from './claim.ts'

/** What places are found with. */
export interface PlaceOptions {
  readonly resolver: Resolver
  readonly providers: Providers
}

/** How many aliases are followed. */
const MAXIMUM_HOPS = 8

/** Whoever forges an answer of DNS must not choose what a program of the operator's gets as an option or a command. */
const PLAIN_NAME = /^[a-z\d_][a-z\d_-]*(?:\.[a-z\d_-]+)*$/

/** Finds where the challenge of a domain is written: at `_acme-challenge.<domain>` or what it is an alias of. */
export async function locate(options: PlaceOptions, domain: string, signal: AbortSignal): Promise<ChallengePlace> {
  const first = `_acme-challenge.${domain}`
  const passed = [first]
  for (let name = first; ; name = passed.at(-1) ?? first) {
    const found = await findName(options.resolver, name, domain, signal)
    const alias = found?.alias
    if (found === undefined || alias === undefined) return settle(options, domain, name, found, [], signal)
    if (await isFromWildcard(options.resolver, found, name, signal)) {
      const warning = `\`${name}\` is an alias of \`${alias}\` only by a wildcard: SOAKP writes at the name itself.`
      try {
        return await settle(options, domain, name, found, [warning], signal)
      } catch (error) {
        // Nobody here holds the name's own zone: the wildcard was meant to lead away from it.
        if (!(error instanceof SoakpError) || error.code !== 'SOAKP_DNS_ZONE') throw error
      }
    }
    if (!PLAIN_NAME.test(alias)) throw aliasError(`\`${first}\` leads to what is no host name`, passed, alias)
    if (passed.includes(alias)) throw aliasError(`The aliases (CNAME) of \`${first}\` go in a circle`, passed, alias)
    if (passed.length > MAXIMUM_HOPS) {
      throw aliasError(`\`${first}\` is followed over ${MAXIMUM_HOPS} aliases (CNAME) and no further`, passed, alias)
    }
    passed.push(alias)
  }
}

/** Undefined where no authoritative server can be asked: aliases are then unknown, and the provider's word has to do. */
async function findName(
  resolver: Resolver,
  name: string,
  hidden: string,
  signal: AbortSignal,
): Promise<FoundName | undefined> {
  try {
    return await resolver.find(name, { signal, hidden })
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof SoakpError && error.code === 'SOAKP_DNS_UNREACHABLE') return undefined
    throw error
  }
}

/**
 * Asks for a random name below an alias. Where the alias stands itself there is nothing below it; where a wildcard makes
 * it up, the wildcard makes up the same there (RFC 4592 section 3.3.1).
 */
async function isFromWildcard(
  resolver: Resolver,
  { zone, alias }: FoundName,
  name: string,
  signal: AbortSignal,
): Promise<boolean> {
  const below = `_soakp-${randomBytes(8).toString('hex')}.${name}`
  if (!isAskable(below)) return false
  const answer = await resolver.askZone(zone, { name: below, type: 'CNAME' }, signal)
  return answer !== undefined && targetsOf(answer.answers, 'CNAME', below)[0] === alias
}

async function settle(
  { providers }: PlaceOptions,
  domain: string,
  name: string,
  found: FoundName | undefined,
  warnings: readonly string[],
  signal: AbortSignal,
): Promise<ChallengePlace> {
  const { provider, zone, title } = await claim(providers, name, found?.zone.name, signal)
  const place = { domain, name, zone, provider: title, valuesPerName: provider.valuesPerName }
  return warnings.length === 0 ? place : { ...place, warnings }
}

function aliasError(what: string, passed: readonly string[], alias: string): SoakpError {
  const message = `${what}: ${[...passed, alias].join(' → ')}. Correct the CNAME records.`
  return new SoakpError(502, 'SOAKP_DNS_CNAME', message)
}
