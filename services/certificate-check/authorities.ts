import type { AcmeConfiguration } from '../acme-configuration.ts'
import type { AcmeClient, AcmeDirectory } from '../acme/index.ts'
import { fault, faultOf, ok, warning } from '../doctor/finding.ts'
import type { Result } from '../doctor/finding.ts'
import { SoakpError } from '../errors.ts'

/** A configured authority: what its directory says, or why that could not be read. */
export interface AskedAuthority {
  /** As it was set: `letsencrypt`, or the URL. */
  readonly name: string
  readonly url: string
  readonly directory: AcmeDirectory | undefined
  readonly error: SoakpError | undefined
}

/** More than this, and signed DNS updates are refused (RFC 8945 section 10.2). */
const FAULTY_CLOCK_MS = 300_000
const DOUBTFUL_CLOCK_MS = 60_000

/** Reads the directory of each configured authority. */
export async function askAuthorities(
  { directories }: Pick<AcmeConfiguration, 'directories'>,
  createClient: (directoryUrl: string) => AcmeClient,
  signal: AbortSignal,
): Promise<AskedAuthority[]> {
  return Promise.all(
    directories.map(async ({ name, url }) => {
      const client = createClient(url)
      try {
        return { name, url, directory: await client.readDirectory(signal), error: undefined }
      } catch (error) {
        if (signal.aborted || !(error instanceof SoakpError)) throw error
        return { name, url, directory: undefined, error }
      } finally {
        await client.close()
      }
    }),
  )
}

/** Checks that the authorities answer. One of several that does not is no fault. */
export function checkDirectories(asked: readonly AskedAuthority[]): Result[] {
  const isAny = asked.some(({ directory }) => directory !== undefined)
  return asked.map(({ name, url, directory, error }) => {
    if (error !== undefined) {
      const remedy = 'Look at the network of this machine (route, firewall, proxy) and at SOAKP_ACME_DIRECTORY.'
      return { ...faultOf(error, remedy), status: isAny ? 'warning' : 'fault' }
    }
    const terms = directory?.termsOfService
    const whose = name === url ? url : `${name} (${url})`
    return ok(`${whose} answers${terms === undefined ? '' : `; an account there agrees to its terms, ${terms}`}.`)
  })
}

/** Checks that an external account is at hand where an authority asks for one. */
export function checkExternalAccount(
  asked: readonly AskedAuthority[],
  { externalAccount }: Pick<AcmeConfiguration, 'externalAccount'>,
): Result {
  const asking = asked.filter(({ directory }) => directory?.externalAccountRequired === true)
  const names = asking.map(({ name }) => name).join(', ')
  if (asking.length === 0) return ok('No authority asks for one.')
  if (externalAccount !== undefined) return ok(`SOAKP_ACME_EAB_KID is set, which ${names} asks for.`)
  const remedy = 'Get a key id and its HMAC key at its site and set SOAKP_ACME_EAB_KID and SOAKP_ACME_EAB_HMAC.'
  const message = `${names} gives certificates only to holders of an account at its site (external account binding).`
  return asking.length === asked.length ? fault(message, remedy) : warning(message, remedy)
}

/** Checks that the authorities have the profiles that are asked for. */
export function checkProfiles(
  asked: readonly AskedAuthority[],
  { profiles }: Pick<AcmeConfiguration, 'profiles'>,
): Result {
  if (profiles.length === 0) return ok('None is asked for.')
  const chosen = asked.flatMap(({ name, directory }) => {
    const has = Object.keys(directory?.profiles ?? {})
    return directory === undefined ? [] : [{ name, has, profile: profiles.find((each) => has.includes(each)) }]
  })
  const without = chosen.find(({ profile }) => profile === undefined)
  if (without === undefined) return ok(chosen.map(({ name, profile }) => `${name}: ${profile}.`).join(' '))
  const offered = without.has.length === 0 ? 'none at all' : without.has.join(', ')
  const message = `${without.name} has no profile ${profiles.join(' or ')}, only ${offered}.`
  return warning(message, 'Correct SOAKP_ACME_PROFILE: as it is, certificates are ordered without a profile.')
}

/** Checks the clock against the authorities'. */
export function checkClock(asked: readonly AskedAuthority[]): Result {
  const told = asked.find(({ directory }) => directory?.clockOffsetMs !== undefined)
  const offsetMs = told?.directory?.clockOffsetMs
  if (told === undefined || offsetMs === undefined) return ok('No authority told the time.')
  const seconds = Math.round(Math.abs(offsetMs) / 1_000)
  if (Math.abs(offsetMs) <= DOUBTFUL_CLOCK_MS) return ok(`It is right to ${seconds} s by ${told.name}.`)
  const message = `The clock of this machine is ${seconds} s ${offsetMs > 0 ? 'behind' : 'ahead of'} that of ${told.name}.`
  const remedy = 'Set the clock, best by a time service: signatures and certificates are refused when it is wrong.'
  return Math.abs(offsetMs) > FAULTY_CLOCK_MS ? fault(message, remedy) : warning(message, remedy)
}
