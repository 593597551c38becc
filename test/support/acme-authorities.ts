import { X509Certificate } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { Test } from 'tap'
import { startAcmeServer } from './acme-server/index.ts'
import { startPebble } from './pebble.ts'
import { startTxtServer } from './txt-server.ts'

/** What the tests of the client need of an authority, be it Pebble or our own. */
export interface TestAuthority {
  readonly directory: string
  readonly roots: string | undefined
  /** What it sees in the DNS. */
  readonly records: Map<string, readonly string[]>
  /** The common names of the roots of the default chain and of the alternates. */
  readonly rootNames: readonly string[]
  /** Debian's Pebble is of 2022: it has no profiles, renewal information or `replaces`. */
  readonly isCurrent: boolean
  forceRenewalWindow(leaf: string, answer: string | object): Promise<void>
  isRevoked(leaf: string): Promise<boolean>
}

/** How an authority differs. */
export interface AuthorityOptions {
  readonly externalAccounts?: Readonly<Record<string, string>>
  readonly badNonceShare?: number
}

/** The profiles that both have, with the seconds that their certificates live. */
export const profiles = { classic: 90 * 86_400, shortlived: 6 * 86_400 }

/** Starts an authority of our own. */
export async function startOwn(t: Test, options: AuthorityOptions = {}): Promise<TestAuthority> {
  const { externalAccounts = {}, badNonceShare = 0 } = options
  const server = await startAcmeServer(t, {
    externalAccounts,
    behaviour: { badNonceShare },
    rootCount: 2,
    profiles: Object.fromEntries(Object.entries(profiles).map(([name, seconds]) => [name, seconds * 1000])),
  })
  return {
    ...server,
    isCurrent: true,
    forceRenewalWindow: async (leaf, answer) => server.forceRenewalWindow(leaf, answer),
    isRevoked: async (leaf) => server.find(leaf).revoked !== undefined,
  }
}

/** Starts Pebble, which looks names up in a server of its own. */
export async function startReal(t: Test, options: AuthorityOptions = {}): Promise<TestAuthority> {
  const { externalAccounts, badNonceShare = 0 } = options
  const names = await startTxtServer(t)
  const pebble = await startPebble(t, {
    dnsServer: names.host,
    alternateRoots: 1,
    strict: true,
    badNoncePercent: badNonceShare * 100,
    profiles: Object.fromEntries(
      Object.entries(profiles).map(([name, validitySeconds]) => [name, { validitySeconds }]),
    ),
    ...(externalAccounts !== undefined && { externalAccounts }),
  })
  const roots = await Promise.all([pebble.root(0), pebble.root(1)])
  return {
    directory: pebble.directory,
    roots: await readFile(pebble.rootsFile, 'utf8'),
    records: names.records,
    isCurrent: pebble.version === 'current',
    rootNames: roots.map((root) => /CN=(.*)/.exec(new X509Certificate(root).subject)?.[1] ?? ''),
    forceRenewalWindow: (leaf, answer) => pebble.forceRenewalInfo(leaf, answer),
    isRevoked: async (leaf) =>
      (await pebble.certificateStatus(new X509Certificate(leaf).serialNumber)).includes('Revoked'),
  }
}
