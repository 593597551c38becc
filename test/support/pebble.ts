import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Test } from 'tap'
import { Agent, fetch } from 'undici'
import { createLocalAuthority, issueLocalCertificate } from '../../services/local-authority.ts'
import { eventuallyAnswers } from './eventually-answers.ts'
import { ownAddress } from './name-server.ts'
import { ROOT, needs, run } from './process.ts'
import { temporaryFolder } from './soakp.ts'

const OWN_BINARY = join(ROOT, '.tools', 'bin', 'pebble')
const PEBBLE = existsSync(OWN_BINARY) ? OWN_BINARY : 'pebble'

/** Why tests with Pebble are skipped here, or false. */
export const pebbleIsMissing: string | false = needs(PEBBLE) === false ? false : 'needs pebble'

/** How a Pebble differs from one that issues at once to whoever proves a name. */
export interface PebbleOptions {
  /** Where it looks names up, `host:port`. It speaks TCP only and asks three times at once. */
  readonly dnsServer: string
  /** By name, with the certificates' time. Without any there is one, `default`, of 90 days. */
  readonly profiles?: Readonly<Record<string, { readonly description?: string; readonly validitySeconds: number }>>
  /** Key id and base64url MAC key of external accounts, one of which is then required. */
  readonly externalAccounts?: Readonly<Record<string, string>>
  /** How many nonces of a hundred it refuses; none otherwise. */
  readonly badNoncePercent?: number
  /** How many valid authorizations of a hundred it uses again; none otherwise. */
  readonly reusePercent?: number
  readonly alternateRoots?: number
  /** How many intermediate certificates stand between the root and the leaf; one otherwise. */
  readonly chainLength?: number
  readonly strict?: boolean
  /** What `Retry-After` says in seconds. */
  readonly retryAfterSeconds?: { readonly authorization: number; readonly order: number }
  /** The names that it refuses to issue for. */
  readonly blocklist?: readonly string[]
}

/** A certificate authority that runs, and the back doors of it that tests use. */
export interface Pebble {
  /** URL of the directory. */
  readonly directory: string
  /** A file of the root that the directory's own certificate is from, PEM. */
  readonly rootsFile: string
  /** Debian's is of 2022: it has no renewal information, profiles or `replaces`. */
  readonly version: 'current' | 'debian'
  /** A dispatcher for undici's `fetch` that trusts the directory. */
  readonly trusting: Agent
  /** The root that it issues from, PEM; other numbers are those of the alternate chains. */
  root(number?: number): Promise<string>
  /** `Valid` or `Revoked`, by the serial in hexadecimal. */
  certificateStatus(serial: string): Promise<string>
  /** Makes the authority answer so about a certificate (its PEM): any text, or what is made into JSON. */
  forceRenewalInfo(leaf: string, answer: string | object): Promise<void>
  /** What it has logged, without what it says when it starts. */
  log(): readonly string[]
  /** Calls back with each line that it logs from now on; returns how that ends. */
  readonly onLine: (listener: (line: string) => void) => () => void
  /** Stops answering (SIGSTOP): connections are still taken by the system. */
  pause(): void
  resume(): void
}

/** Starts Pebble on an address of its own. It ends with the test. */
export async function startPebble(t: Test, options: PebbleOptions): Promise<Pebble> {
  const address = ownAddress()
  const folder = await temporaryFolder(t)
  const file = (name: string) => join(folder, name)
  const authority = await createLocalAuthority(new Date())
  const own = await issueLocalCertificate(authority, [address], new Date())
  await writeFile(file('roots.pem'), authority.certificatePem)
  await writeFile(file('certificate.pem'), own.certificatePem)
  await writeFile(file('key.pem'), own.privateKeyPem)
  await writeFile(file('pebble.json'), JSON.stringify({ pebble: settingsOf(options, address, file) }))

  const { dnsServer, strict = false } = options
  const pebble = run(
    t,
    PEBBLE,
    ['-config', file('pebble.json'), '-dnsserver', dnsServer, ...(strict ? ['-strict'] : [])],
    { environment: variablesOf(options) },
  )
  const trusting = new Agent({ connect: { ca: authority.certificatePem } })
  t.teardown(() => trusting.destroy())
  const directory = `https://${address}:14000/dir`
  const management = `https://${address}:15000`

  async function ask(url: string, body?: object): Promise<string> {
    const answer = await fetch(url, {
      dispatcher: trusting,
      ...(body !== undefined && { method: 'POST', body: JSON.stringify(body) }),
    })
    const text = await answer.text()
    if (!answer.ok) throw new Error(`Pebble answered ${answer.status} to ${url}: ${text}`)
    return text
  }

  await eventuallyAnswers(pebble, () => ask(`${management}/roots/0`))
  const offered = await eventuallyAnswers(pebble, () => ask(directory))
  const start = pebble.stdout().length

  return {
    directory,
    rootsFile: file('roots.pem'),
    version: 'renewalInfo' in JSON.parse(offered) ? 'current' : 'debian',
    trusting,
    root: (number = 0) => ask(`${management}/roots/${number}`),
    certificateStatus: async (serial) => JSON.parse(await ask(`${management}/cert-status-by-serial/${serial}`)).Status,

    async forceRenewalInfo(leaf, answer) {
      const ariResponse = typeof answer === 'string' ? answer : JSON.stringify(answer)
      await ask(`${management}/set-renewal-info/`, { certificate: leaf, ariResponse })
    },

    log: () => pebble.stdout().slice(start).split('\n'),
    onLine: pebble.onLine,
    pause: () => pebble.kill('SIGSTOP'),
    resume: () => pebble.kill('SIGCONT'),
  }
}

function settingsOf(options: PebbleOptions, address: string, file: (name: string) => string): object {
  const { profiles = { default: { validitySeconds: 90 * 86_400 } }, externalAccounts, retryAfterSeconds } = options
  return {
    listenAddress: `${address}:14000`,
    managementListenAddress: `${address}:15000`,
    certificate: file('certificate.pem'),
    privateKey: file('key.pem'),
    httpPort: 5002,
    tlsPort: 5001,
    ocspResponderURL: '',
    externalAccountBindingRequired: externalAccounts !== undefined,
    externalAccountMACKeys: externalAccounts ?? {},
    domainBlocklist: options.blocklist ?? [],
    // An order that names no profile gets any of them.
    profiles: Object.fromEntries(
      Object.entries(profiles).map(([name, { description = name, validitySeconds }]) => [
        name,
        { description, validityPeriod: validitySeconds },
      ]),
    ),
    ...(retryAfterSeconds && {
      retryAfter: { authz: retryAfterSeconds.authorization, order: retryAfterSeconds.order },
    }),
  }
}

function variablesOf(options: PebbleOptions): Record<string, string> {
  return {
    PEBBLE_VA_NOSLEEP: '1',
    PEBBLE_WFE_NONCEREJECT: String(options.badNoncePercent ?? 0),
    PEBBLE_AUTHZREUSE: String(options.reusePercent ?? 0),
    ...(options.alternateRoots !== undefined && { PEBBLE_ALTERNATE_ROOTS: String(options.alternateRoots) }),
    ...(options.chainLength !== undefined && { PEBBLE_CHAIN_LENGTH: String(options.chainLength) }),
  }
}
