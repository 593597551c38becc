import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { AuthorityCertificate } from './authority.ts'
import type { TrustStore } from './index.ts'
import type { Machine } from './machine.ts'

/** Folders of certificates to trust, each with the program that has to be run after a change. */
const FOLDERS = [
  {
    name: 'Fedora, RHEL',
    path: 'etc/pki/ca-trust/source/anchors',
    extension: '.pem',
    added: ['update-ca-trust', 'extract'],
    removed: ['update-ca-trust', 'extract'],
  },
  {
    name: 'Arch',
    path: 'etc/ca-certificates/trust-source/anchors',
    extension: '.crt',
    added: ['trust', 'extract-compat'],
    removed: ['trust', 'extract-compat'],
  },
  {
    name: 'openSUSE',
    path: 'etc/pki/trust/anchors',
    extension: '.pem',
    added: ['update-ca-certificates'],
    removed: ['update-ca-certificates', '--fresh'],
  },
  {
    name: 'Debian, Ubuntu, Alpine',
    path: 'usr/local/share/ca-certificates',
    extension: '.crt',
    added: ['update-ca-certificates'],
    // Without it the links to what was taken out stay in /etc/ssl/certs (seen on Debian 12).
    removed: ['update-ca-certificates', '--fresh'],
  },
] as const

/** Finds the trust store of the system: none where it is a kind that SOAKP does not know. */
export function systemStores(machine: Machine, authority: AuthorityCertificate): TrustStore[] {
  if (machine.platform === 'win32') return [windows(machine, authority)]
  if (machine.platform === 'darwin') return [macOS(machine, authority)]
  const folder = FOLDERS.find(({ path }) => existsSync(join(machine.root, '/', path)))
  return folder === undefined ? [] : [linux(machine, authority, folder)]
}

function linux(
  { root }: Machine,
  { file, pem, nickname }: AuthorityCertificate,
  { name, path, extension, added, removed }: (typeof FOLDERS)[number],
): TrustStore {
  const placed = join(root, '/', path, nickname + extension)
  return {
    kind: 'system',
    name: `the system (${name}: ${placed})`,
    needsRoot: true,
    isIn: async () => (await readFile(placed, 'utf8').catch(() => undefined)) === pem,
    trust: [{ kind: 'copy', from: file, to: placed }, program(added)],
    untrust: [{ kind: 'remove', file: placed, backup: file }, program(removed)],
  }
}

function program([name, ...args]: readonly [string, ...string[]]) {
  return { kind: 'run', program: name, args } as const
}

/** The keychain of the user: no administrator is needed, macOS asks for the user's password itself. */
function macOS({ home, run }: Machine, { file, sha1 }: AuthorityCertificate): TrustStore {
  const keychain = join(home, 'Library/Keychains/login.keychain-db')
  const security = (...args: string[]) => ({ kind: 'run', program: 'security', args }) as const
  return {
    kind: 'system',
    name: 'the login keychain of macOS',
    needsRoot: false,
    isIn: async () => (await run('security', ['find-certificate', '-a', '-Z', keychain])).output.includes(sha1),
    trust: [security('add-trusted-cert', '-r', 'trustRoot', '-p', 'ssl', '-k', keychain, file)],
    untrust: [security('remove-trusted-cert', file), security('delete-certificate', '-Z', sha1, keychain)],
  }
}

/** The roots of the user: no administrator is needed, Windows asks in a window. */
function windows({ run }: Machine, { file, sha1 }: AuthorityCertificate): TrustStore {
  const certutil = (...args: string[]) => ({ kind: 'run', program: 'certutil', args: ['-user', ...args] }) as const
  return {
    kind: 'system',
    name: 'the roots of this Windows user',
    needsRoot: false,
    isIn: async () => (await run('certutil', ['-user', '-verifystore', 'Root', sha1])).code === 0,
    trust: [certutil('-addstore', 'Root', file)],
    untrust: [certutil('-delstore', 'Root', sha1)],
  }
}
