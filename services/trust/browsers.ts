import { existsSync } from 'node:fs'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { AuthorityCertificate } from './authority.ts'
import type { TrustStore } from './index.ts'
import type { Machine } from './machine.ts'

/** NSS databases of Chromium and its kin on Linux, below the home folder. */
const CHROMIUM = ['.pki/nssdb', '.local/share/pki/nssdb', 'snap/chromium/current/.pki/nssdb']

/** Folders that hold the profiles of Firefox, below the home folder. */
const FIREFOX = {
  linux: [
    '.mozilla/firefox',
    '.config/mozilla/firefox',
    'snap/firefox/common/.mozilla/firefox',
    '.var/app/org.mozilla.firefox/.mozilla/firefox',
  ],
  darwin: ['Library/Application Support/Firefox/Profiles'],
}

/** Finds browsers that have trust stores of their own: NSS databases, which NSS's `certutil` changes. */
export async function browserStores(machine: Machine, authority: AuthorityCertificate): Promise<TrustStore[]> {
  const { platform, home } = machine
  // On Windows Firefox takes the roots of the system, and `certutil` is another program.
  if (platform !== 'linux' && platform !== 'darwin') return []
  const chromium = platform === 'linux' ? CHROMIUM.map((path) => join(home, path)) : []
  const firefox = await Promise.all(FIREFOX[platform].map((path) => foldersIn(join(home, path))))
  const isDatabase = (folder: string) => existsSync(join(folder, 'cert9.db'))
  return [
    ...chromium.filter(isDatabase).map((folder) => nss(machine, authority, 'Chromium', folder)),
    ...firefox
      .flat()
      .filter(isDatabase)
      .map((folder) => nss(machine, authority, 'Firefox', folder)),
  ]
}

function nss({ run }: Machine, { file, nickname }: AuthorityCertificate, browser: string, folder: string): TrustStore {
  const certutil = (...args: string[]) =>
    ({ kind: 'run', program: 'certutil', args: [...args, '-d', `sql:${folder}`, '-n', nickname] }) as const
  const list = certutil('-L')
  return {
    kind: 'browsers',
    name: `${browser} (${folder})`,
    needsRoot: false,
    isIn: async () => (await run(list.program, list.args)).code === 0,
    trust: [certutil('-A', '-t', 'C,,', '-i', file)],
    untrust: [certutil('-D')],
    hint: 'Restart the browser.',
  }
}

async function foldersIn(folder: string): Promise<string[]> {
  const names = await readdir(folder).catch(() => [])
  return names.map((name) => join(folder, name))
}
