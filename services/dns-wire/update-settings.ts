import { readFile } from 'node:fs/promises'
import { DnsProviderError } from '../dns-errors.ts'
import type { DnsVariableName } from '../dns-variables.ts'
import { SoakpError } from '../errors.ts'
import { Secret } from '../secret.ts'
import { canonicalName, encodeName } from './names.ts'
import { readServerAddress } from './server-address.ts'
import type { ServerAddress } from './server-address.ts'
import { defaultTsigAlgorithm, isMd5, readTsigAlgorithm, tsigAlgorithms } from './tsig-algorithm.ts'
import { readKeyFile } from './tsig-key-file.ts'
import type { TsigKey } from './tsig.ts'

/** How dynamic updates are sent, as the variables of `rfc2136` have it. */
export interface UpdateSettings {
  readonly server: ServerAddress
  /** Without one the server must take our address. */
  readonly key: TsigKey | undefined
  readonly ttlSeconds: number
  /** For one message and its response. */
  readonly timeoutMs: number
  /** The zones that may be written; the server is asked where there are none. */
  readonly zones: readonly string[]
}

type Credentials = Readonly<Partial<Record<DnsVariableName, Secret>>>

/** Reads the settings. Throws `DnsProviderError` of kind `credentials` for what is missing or cannot be. */
export async function readUpdateSettings(credentials: Credentials): Promise<UpdateSettings> {
  const text = (name: DnsVariableName) => credentials[name]?.reveal().trim() || undefined
  const nameserver = text('RFC2136_NAMESERVER')
  if (nameserver === undefined) {
    throw invalid('Set RFC2136_NAMESERVER to the primary name server of the zone, such as ns1.example.com:53.')
  }
  const port = readNumber('RFC2136_PORT', text('RFC2136_PORT'), 53, 1, 65_535)
  const timeoutSeconds = readNumber('RFC2136_DNS_TIMEOUT', text('RFC2136_DNS_TIMEOUT'), 10, 1, 300)
  return {
    server: readBy(() => readServerAddress(nameserver, 'RFC2136_NAMESERVER', port)),
    key: await readKey(text),
    ttlSeconds: readNumber('RFC2136_TTL', text('RFC2136_TTL'), 60, 0, 86_400),
    timeoutMs: timeoutSeconds * 1000,
    zones: readZones(text('RFC2136_ZONES')),
  }
}

async function readKey(text: (name: DnsVariableName) => string | undefined): Promise<TsigKey | undefined> {
  const [name, secret, algorithm] = [
    text('RFC2136_TSIG_KEY'),
    text('RFC2136_TSIG_SECRET'),
    text('RFC2136_TSIG_ALGORITHM'),
  ]
  const path = text('RFC2136_TSIG_FILE')
  if (path !== undefined) {
    if (secret !== undefined) throw invalid('Set RFC2136_TSIG_FILE or RFC2136_TSIG_SECRET, not both.')
    const content = await readFile(path, 'utf8').catch(unreadable(path))
    const file = readBy(() => readKeyFile(content))
    return createKey(file.name, file.algorithm ?? algorithm, file.secret, path)
  }
  if (name === undefined && secret === undefined) return undefined
  if (name === undefined) throw invalid('Set RFC2136_TSIG_KEY to the name of the key whose secret is set.')
  if (secret === undefined) throw invalid(`Set RFC2136_TSIG_SECRET to the secret of the key ${name}, in base64.`)
  return createKey(name, algorithm, secret, 'RFC2136_TSIG_SECRET')
}

function createKey(name: string, algorithm: string | undefined, secret: string, origin: string): TsigKey {
  const base64 = secret.replaceAll(/\s/g, '')
  if (!/^(?:[A-Za-z\d+/]{4})*(?:[A-Za-z\d+/]{2}==|[A-Za-z\d+/]{3}=?)?$/.test(base64) || base64 === '') {
    throw invalid(
      `The secret in ${origin} is not base64. Copy what stands between the quotes in the server's key file.`,
    )
  }
  readBy(() => encodeName(name))
  return { name: canonicalName(name), algorithm: readAlgorithm(algorithm), secret: new Secret(base64) }
}

function readAlgorithm(text: string | undefined): TsigKey['algorithm'] {
  if (text === undefined) return defaultTsigAlgorithm
  if (isMd5(text)) {
    throw invalid(
      'HMAC-MD5 is broken and not used. Make a key with "tsig-keygen -a hmac-sha256" and give it to the name server and to SOAKP.',
    )
  }
  const algorithm = readTsigAlgorithm(text)
  if (algorithm !== undefined) return algorithm
  throw invalid(`RFC2136_TSIG_ALGORITHM must be one of ${tsigAlgorithms.join(', ')}.`)
}

function readZones(text: string | undefined): readonly string[] {
  const zones = (text ?? '').split(',').map((zone) => canonicalName(zone.trim()))
  for (const zone of zones) readBy(() => encodeName(zone))
  return zones.filter((zone) => zone !== '')
}

function readNumber(name: string, text: string | undefined, fallback: number, least: number, most: number): number {
  if (text === undefined) return fallback
  const value = Number(text)
  if (/^\d{1,9}$/.test(text) && value >= least && value <= most) return value
  throw invalid(`${name} must be a number from ${least} to ${most}.`)
}

/** Gives our own sentence the kind that a provider's errors have. */
function readBy<Value>(read: () => Value): Value {
  try {
    return read()
  } catch (error) {
    throw error instanceof SoakpError ? invalid(error.message, error) : error
  }
}

function unreadable(path: string): (error: unknown) => never {
  return (error) => {
    throw invalid(`The TSIG key file ${path} of RFC2136_TSIG_FILE cannot be read.`, error)
  }
}

function invalid(message: string, cause?: unknown): DnsProviderError {
  return new DnsProviderError('rfc2136', 'credentials', message, { cause })
}
