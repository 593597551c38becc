import { isAbsolute, join, resolve } from 'node:path'
import { readAcme } from './acme-configuration.ts'
import type { AcmeConfiguration } from './acme-configuration.ts'
import { createEnvironmentReader } from './environment.ts'
import type { Environment, EnvironmentReader } from './environment.ts'
import { isLoopbackHost, normaliseBaseUrl } from './base-url.ts'
import { readLimits } from './limits-configuration.ts'
import type { LimitsConfiguration } from './limits-configuration.ts'
import { everyAddress } from './listening-address.ts'
import { Secret } from './secret.ts'
import { choice, invalid, isYes, networks, origins, readCertificates, required, text, whole } from './setting-values.ts'
import { assertStrong } from './strength.ts'

/** Where the vault's root key comes from. `make` says that a first start may make the key file. */
export type UnsealConfiguration =
  | { readonly kind: 'secret'; readonly secret: Secret }
  | { readonly kind: 'key-file'; readonly file: string; readonly make: boolean }

/** How the listener is protected. */
export type TlsConfiguration =
  | { readonly mode: 'local' }
  | { readonly mode: 'files'; readonly certificateFile: string; readonly keyFile: string }
  /** The certificate of `Configuration.acme`. */
  | { readonly mode: 'acme' }
  | { readonly mode: 'off' }

/** Everything that can be set, read once and frozen. Times are in milliseconds, paths are absolute. */
export interface Configuration {
  readonly isProduction: boolean
  readonly host: string
  readonly port: number
  readonly dataDir: string
  readonly databaseFile: string
  readonly tls: TlsConfiguration
  /** How a certificate is got for the names of SOAKP_DOMAIN; undefined without them. */
  readonly acme: AcmeConfiguration | undefined
  readonly unseal: UnsealConfiguration
  readonly adminUser: string
  readonly adminToken: Secret | undefined
  readonly upstream: string
  readonly upstreamCertificates: string | undefined
  readonly privateUpstreams: readonly string[]
  readonly allowedOrigins: readonly string[]
  readonly trustedProxies: readonly string[]
  readonly tokenDays: number
  readonly tokenLimits: {
    readonly requests_per_minute: number
    readonly requests_per_day: number
    readonly parallel_requests: number
  }
  readonly limits: LimitsConfiguration
  readonly addressRequestsPerMinute: number
  readonly failedLoginsPerMinute: number
  readonly upstreamConnectMs: number
  readonly upstreamAnswerMs: number
  readonly upstreamIdleMs: number
  readonly upstreamConnections: number
  readonly socketMessageBytes: number
  readonly socketHeartbeatMs: number
  readonly drainMs: number
  readonly logLevel: string
}

const LOG_LEVELS = ['debug', 'info', 'warn', 'error', 'silent']

/**
 * Reads the configuration from environment variables, deleting the secrets among them.
 * Throws `SOAKP_CONFIGURATION` with a sentence that names the variable and says what to set.
 */
export function readConfiguration(
  environment: Environment,
  workingDirectory: string,
): { configuration: Configuration; warnings: readonly string[] } {
  const reader = createEnvironmentReader(environment)
  const isProduction = environment['NODE_ENV'] === 'production'
  const warnings: string[] = []
  const acme = readAcme(reader, workingDirectory, warnings)
  const asked = text(reader, 'SOAKP_HOST', acme && everyAddress())
  // Fastify would open a second server for the other address of `localhost`, without our listeners.
  const host = asked === 'localhost' ? '127.0.0.1' : asked
  const dataDir = resolve(workingDirectory, text(reader, 'SOAKP_DATA_DIR'))
  const databaseFile = text(reader, 'SOAKP_DATABASE_FILE')
  const upstream = normaliseBaseUrl(text(reader, 'SOAKP_UPSTREAM'), 'SOAKP_UPSTREAM')
  const adminToken = reader.text('SOAKP_ADMIN_TOKEN')
  if (adminToken !== undefined) assertStrong('SOAKP_ADMIN_TOKEN', adminToken, isProduction, warnings)
  if (adminToken !== undefined && !/^[\x21-\x7e]+$/.test(adminToken)) {
    warnings.push(
      'SOAKP_ADMIN_TOKEN has blanks or letters beyond ASCII: it works by HTTP Basic, but not as a Bearer credential.',
    )
  }

  const configuration: Configuration = {
    isProduction,
    host,
    port: whole(reader, 'SOAKP_PORT', 0, 65_535, acme && '443'),
    dataDir,
    databaseFile: isAbsolute(databaseFile) ? databaseFile : join(dataDir, databaseFile),
    tls: acme === undefined ? readTls(reader, host, workingDirectory) : { mode: 'acme' },
    acme,
    unseal: readUnseal(reader, dataDir, workingDirectory, isProduction, warnings),
    adminUser: text(reader, 'SOAKP_ADMIN_USER'),
    adminToken: adminToken === undefined ? undefined : new Secret(adminToken),
    upstream,
    upstreamCertificates: readCertificates(reader, 'SOAKP_UPSTREAM_CA_FILE', workingDirectory),
    // What the operator sets as the default upstream is thereby named by the operator.
    privateUpstreams: [new URL(upstream).origin, ...origins(reader, 'SOAKP_ALLOW_PRIVATE_UPSTREAMS')],
    allowedOrigins: origins(reader, 'SOAKP_ALLOWED_ORIGINS'),
    trustedProxies: networks(reader, 'SOAKP_TRUSTED_PROXIES'),
    tokenDays: whole(reader, 'SOAKP_TOKEN_DAYS', 1, 365),
    tokenLimits: {
      requests_per_minute: whole(reader, 'SOAKP_TOKEN_REQUESTS_PER_MINUTE', 1, 1e9),
      requests_per_day: whole(reader, 'SOAKP_TOKEN_REQUESTS_PER_DAY', 1, 1e9),
      parallel_requests: whole(reader, 'SOAKP_TOKEN_PARALLEL_REQUESTS', 1, 1e9),
    },
    limits: readLimits(reader),
    addressRequestsPerMinute: whole(reader, 'SOAKP_ADDRESS_REQUESTS_PER_MINUTE', 1, 1e9),
    failedLoginsPerMinute: whole(reader, 'SOAKP_FAILED_LOGINS_PER_MINUTE', 1, 1e9),
    upstreamConnectMs: whole(reader, 'SOAKP_UPSTREAM_CONNECT_SECONDS', 1, 3_600) * 1_000,
    upstreamAnswerMs: whole(reader, 'SOAKP_UPSTREAM_ANSWER_SECONDS', 1, 86_400) * 1_000,
    upstreamIdleMs: whole(reader, 'SOAKP_UPSTREAM_IDLE_SECONDS', 1, 86_400) * 1_000,
    upstreamConnections: whole(reader, 'SOAKP_UPSTREAM_CONNECTIONS', 1, 65_535),
    socketMessageBytes: whole(reader, 'SOAKP_SOCKET_MESSAGE_BYTES', 1_024, 1_073_741_824),
    socketHeartbeatMs: whole(reader, 'SOAKP_SOCKET_HEARTBEAT_SECONDS', 1, 3_600) * 1_000,
    drainMs: whole(reader, 'SOAKP_DRAIN_SECONDS', 0, 3_600) * 1_000,
    logLevel: choice(reader, 'SOAKP_LOG_LEVEL', LOG_LEVELS),
  }
  return { configuration: Object.freeze(configuration), warnings: [...reader.warnings, ...warnings] }
}

function readTls(reader: EnvironmentReader, host: string, workingDirectory: string): TlsConfiguration {
  const mode = choice(reader, 'SOAKP_TLS', ['local', 'files', 'acme', 'off'])
  if (mode === 'acme') throw invalid('SOAKP_TLS=acme needs SOAKP_DOMAIN: the names that the certificate is for.')
  if (mode === 'local') return { mode }
  if (mode === 'files') {
    const certificateFile = required(reader, 'SOAKP_TLS_CERT_FILE', 'SOAKP_TLS=files')
    const keyFile = required(reader, 'SOAKP_TLS_KEY_FILE', 'SOAKP_TLS=files')
    return {
      mode,
      certificateFile: resolve(workingDirectory, certificateFile),
      keyFile: resolve(workingDirectory, keyFile),
    }
  }
  if (!isLoopbackHost(host) && !isYes(reader, 'SOAKP_ALLOW_PLAIN_HTTP')) {
    throw invalid(
      `SOAKP_TLS=off would serve tokens in the clear on ${host}. Use SOAKP_TLS=local or files, listen on 127.0.0.1, ` +
        'or, behind a proxy that does TLS, set SOAKP_ALLOW_PLAIN_HTTP=yes.',
    )
  }
  return { mode: 'off' }
}

function readUnseal(
  reader: EnvironmentReader,
  dataDir: string,
  workingDirectory: string,
  isProduction: boolean,
  warnings: string[],
): UnsealConfiguration {
  const secret = reader.text('SOAKP_SECRET')
  const file = reader.text('SOAKP_ROOT_KEY_FILE')
  if (secret !== undefined && file !== undefined) {
    throw invalid('SOAKP_SECRET and SOAKP_ROOT_KEY_FILE are both set; keep the one that the vault was made with.')
  }
  if (secret !== undefined) {
    assertStrong('SOAKP_SECRET', secret, isProduction, warnings)
    return { kind: 'secret', secret: new Secret(secret) }
  }
  if (file !== undefined) return { kind: 'key-file', file: resolve(workingDirectory, file), make: false }
  if (isProduction) {
    throw invalid(
      'NODE_ENV=production needs SOAKP_SECRET (20 characters or more, best from `openssl rand -base64 32`) ' +
        'or SOAKP_ROOT_KEY_FILE (a file of 32 random bytes).',
    )
  }
  return { kind: 'key-file', file: join(dataDir, 'root.key'), make: true }
}
