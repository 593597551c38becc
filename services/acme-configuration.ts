import { directories } from './acme/directories.ts'
import { certificateNames } from './certificate-names.ts'
import { readDns } from './dns-configuration.ts'
import type { DnsConfiguration } from './dns-configuration.ts'
import type { EnvironmentReader } from './environment.ts'
import { Secret } from './secret.ts'
import { serviceUrl } from './service-url.ts'
import { invalid, parts, readCertificates, text } from './setting-values.ts'

export type { DnsConfiguration } from './dns-configuration.ts'

/** How the certificate of SOAKP_DOMAIN is got. Times are milliseconds. */
export interface AcmeConfiguration {
  /** Lower-case A-labels, `ai.example.com` and `*.example.com`, without doubles. */
  readonly names: readonly string[]
  readonly email: string | undefined
  /**
   * In order of preference; `name` is as it was set: `letsencrypt`, or the URL. `staging` is where an order can be tried
   * out before the next try at it.
   */
  readonly directories: readonly { readonly name: string; readonly url: string; readonly staging?: string }[]
  /** Further roots to trust for the directories, PEM. */
  readonly certificates: string | undefined
  /** Used where a directory asks for it. */
  readonly externalAccount: { readonly kid: string; readonly hmac: Secret } | undefined
  /** In order of preference; the first that a directory has is ordered, none when it has none of them. */
  readonly profiles: readonly string[]
  readonly dns: DnsConfiguration
}

const MOST_DIRECTORIES = 5

/**
 * Reads how a certificate is got; undefined without a domain. Adds to `warnings` what the operator should know. Throws
 * `SOAKP_CONFIGURATION`.
 */
export function readAcme(
  reader: EnvironmentReader,
  workingDirectory: string,
  warnings: string[],
): AcmeConfiguration | undefined {
  // Read in any case, so that it is gone from the environment.
  const hmac = reader.text('SOAKP_ACME_EAB_HMAC')
  const texts = domainTexts(reader)
  if (texts.length === 0) return undefined
  refuseOtherTls(reader)
  const authorities = readDirectories(reader)
  const isPublic = authorities.some(({ url }) => Object.values<string>(directories).includes(url))
  const { names, warnings: others } = certificateNames(texts, isPublic)
  warnings.push(...others)
  return {
    names,
    email: readEmail(reader),
    directories: authorities,
    certificates: readCertificates(reader, 'SOAKP_ACME_CA_FILE', workingDirectory),
    externalAccount: readExternalAccount(reader.text('SOAKP_ACME_EAB_KID'), hmac),
    profiles: readProfiles(reader),
    dns: readDns(reader),
  }
}

/** The soakp of 2023 had `localhost` for no domain, and a comma before its wildcard. */
function domainTexts(reader: EnvironmentReader): string[] {
  return reader.found('SOAKP_DOMAIN').flatMap(({ name, text: value }) => {
    const names = parts(value)
    if (name === 'SOAKP_DOMAIN') return names
    const real = names.filter((each) => each !== 'localhost')
    return name === 'CB_DOMAIN' ? real : real.map((each) => (each.startsWith('*.') ? each : `*.${each}`))
  })
}

function refuseOtherTls(reader: EnvironmentReader): void {
  const mode = reader.text('SOAKP_TLS')
  if (mode === undefined || mode === 'acme') return
  throw invalid(
    `SOAKP_TLS=${mode} and a domain (SOAKP_DOMAIN), for which SOAKP gets a certificate itself, exclude each other. Remove one of the two.`,
  )
}

function readDirectories(reader: EnvironmentReader): AcmeConfiguration['directories'] {
  const known: Readonly<Record<string, string>> = directories
  const names = parts(text(reader, 'SOAKP_ACME_DIRECTORY'))
  if (names.length > MOST_DIRECTORIES) throw invalid(`SOAKP_ACME_DIRECTORY holds more than ${MOST_DIRECTORIES}.`)
  return names.map((name) => {
    const url = known[name] ?? serviceUrl(name)
    if (url !== undefined) return { name, url, ...stagingOf(url) }
    const choices = Object.keys(known).join(', ')
    throw invalid(`SOAKP_ACME_DIRECTORY must hold ${choices} or the https URL of a directory; "${name}" is none.`)
  })
}

/** Google's staging needs an external account of its own, so it is none. */
function stagingOf(url: string): { readonly staging?: string } {
  return url === directories.letsencrypt ? { staging: directories['letsencrypt-staging'] } : {}
}

/** Authorities refuse addresses of other alphabets and more than one. */
function readEmail(reader: EnvironmentReader): string | undefined {
  const email = reader.text('SOAKP_ACME_EMAIL')?.replace(/^mailto:/i, '')
  if (email === undefined || /^[\x21-\x2b\x2d-\x3f\x41-\x7e]+@[a-z\d-]+(?:\.[a-z\d-]+)+$/i.test(email)) return email
  throw invalid(`SOAKP_ACME_EMAIL must be one e-mail address; "${email}" is none.`)
}

/** Authorities hand the key out as base64url; base64 is what people make of it. */
function readExternalAccount(kid: string | undefined, given: string | undefined): AcmeConfiguration['externalAccount'] {
  if (kid === undefined && given === undefined) return undefined
  if (kid === undefined || given === undefined) {
    throw invalid('SOAKP_ACME_EAB_KID and SOAKP_ACME_EAB_HMAC belong together; only one of them is set.')
  }
  const hmac = given.trim().replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '')
  if (/^[\w-]{16,1000}$/.test(hmac) && hmac.length % 4 !== 1) return { kid, hmac: new Secret(hmac) }
  throw invalid('SOAKP_ACME_EAB_HMAC must be the base64url text that the certificate authority gave with the key id.')
}

function readProfiles(reader: EnvironmentReader): string[] {
  const profiles = parts(text(reader, 'SOAKP_ACME_PROFILE'))
  const wrong = profiles.find((each) => !/^[\w.-]{1,64}$/.test(each))
  if (wrong === undefined) return profiles
  throw invalid(`SOAKP_ACME_PROFILE must hold names of profiles like tlsserver; "${wrong}" is none.`)
}
