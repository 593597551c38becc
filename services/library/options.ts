import { randomBytes } from 'node:crypto'
import { readConfiguration } from '../configuration.ts'
import type { Configuration } from '../configuration.ts'
import type { Environment } from '../environment.ts'
import { Secret } from '../secret.ts'
import { settings } from '../settings.ts'
import type { SettingName } from '../settings.ts'

type CamelCase<Name extends string> = Name extends `${infer First}_${infer Rest}`
  ? `${Lowercase<First>}${Capitalize<CamelCase<Rest>>}`
  : Lowercase<Name>

type WithoutPrefix<Name extends string> = Name extends `SOAKP_${infer Rest}` ? Rest : never

/** How a server listens: nothing that is set within a process. */
const OF_LISTENING = [
  'SOAKP_HOST',
  'SOAKP_PORT',
  'SOAKP_TLS',
  'SOAKP_TLS_CERT_FILE',
  'SOAKP_TLS_KEY_FILE',
  'SOAKP_ALLOW_PLAIN_HTTP',
  'SOAKP_DOMAIN',
  'SOAKP_ACME_EMAIL',
  'SOAKP_ACME_DIRECTORY',
  'SOAKP_ACME_CA_FILE',
  'SOAKP_ACME_EAB_KID',
  'SOAKP_ACME_EAB_HMAC',
  'SOAKP_ACME_PROFILE',
  'SOAKP_DNS',
  'SOAKP_DNS_RESOLVERS',
  'SOAKP_DNS_API_URL',
  'SOAKP_DNS_POLICY',
  'SOAKP_DNS_WAIT_SECONDS',
  'SOAKP_DNS_DELAY_SECONDS',
  'SOAKP_CONNECTIONS',
  'SOAKP_ADDRESS_CONNECTIONS',
  'SOAKP_HTTP2_STREAMS',
  'SOAKP_HEADER_BYTES',
  'SOAKP_HEADERS_SECONDS',
] as const satisfies readonly SettingName[]

type OwnName = Exclude<SettingName, (typeof OF_LISTENING)[number]>

/**
 * Settings by the names of the configuration variables without `SOAKP_`, in camel case: `dataDir`, `secret`,
 * `rootKeyFile`, `upstream`, `allowPrivateUpstreams`, … with the same meaning and the same defaults.
 */
export type Settings = {
  readonly [Name in OwnName as CamelCase<WithoutPrefix<Name>>]?:
    | string
    | number
    | boolean
    | readonly string[]
    | undefined
}

const names: ReadonlyMap<string, string> = new Map(
  Object.keys(settings)
    .filter(isOwn)
    .map((name) => {
      const camelCase = name
        .slice('SOAKP_'.length)
        .toLowerCase()
        .replaceAll(/_(\w)/g, (_match, letter: string) => letter.toUpperCase())
      return [camelCase, name]
    }),
)

function isOwn(name: string): boolean {
  return !OF_LISTENING.some((each) => each === name)
}

/** What a SOAKP without a listener of its own leaves to the server that shares its environment. */
const WITHOUT_DOMAIN: Environment = { SOAKP_DOMAIN: '', CB_DOMAIN: '', CB_WILDCARD_DOMAIN: '' }

/** Turns settings into configuration variables. Throws a `TypeError` for a name that is none. */
export function environmentOf(given: Settings): Environment {
  const environment: Environment = {}
  for (const [key, value] of Object.entries(given)) {
    const name = names.get(key)
    if (name === undefined) throw new TypeError(`SOAKP has no setting "${key}", only ${[...names.keys()].join(', ')}.`)
    if (value === undefined) continue
    environment[name] = typeof value === 'boolean' ? (value ? 'yes' : 'no') : String(value)
  }
  return environment
}

/**
 * Reads the configuration of a SOAKP that does not listen. Nobody outside the process can call it, so it needs no
 * certificate, counts no addresses and makes no admin credential: a server that is started on the same folder later
 * makes and shows that. It logs nothing unless it is told to.
 */
export function configureLibrary(environment: Environment, workingDirectory: string) {
  const { configuration, warnings } = readConfiguration(
    { SOAKP_LOG_LEVEL: 'silent', ...environment, ...WITHOUT_DOMAIN, SOAKP_TLS: 'off', SOAKP_HOST: '127.0.0.1' },
    workingDirectory,
  )
  return { configuration: withAdmin({ ...configuration, addressRequestsPerMinute: 1e9 }), warnings }
}

/**
 * Reads the configuration of a SOAKP that is part of another server, whose address and TLS are not known here. Without
 * an admin credential in its settings it is managed by the command only, through the socket in the data folder.
 */
export function configurePlugin(environment: Environment, workingDirectory: string) {
  const { configuration, warnings } = readConfiguration(
    { ...environment, ...WITHOUT_DOMAIN, SOAKP_TLS: 'off', SOAKP_HOST: '0.0.0.0', SOAKP_ALLOW_PLAIN_HTTP: 'yes' },
    workingDirectory,
  )
  return { configuration: withAdmin(configuration), warnings }
}

function withAdmin(configuration: Configuration): Configuration {
  const adminToken = configuration.adminToken ?? new Secret(randomBytes(32).toString('base64url'))
  return Object.freeze({ ...configuration, adminToken })
}
