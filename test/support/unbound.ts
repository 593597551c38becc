import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Test } from 'tap'
import { answersQueries } from './dns-query.ts'
import { ownAddress } from './name-server.ts'
import { run } from './process.ts'
import { temporaryFolder } from './soakp.ts'

/** A recursive resolver that runs: it follows delegations and CNAMEs, asks any of a zone's servers, and remembers. */
export interface Unbound {
  /** Where it is asked, by UDP and TCP: `127.1.2.3:53`. */
  readonly address: string
  /** What it was asked so far, in order: `_acme-challenge.soakp.test TXT`. */
  queries(): Promise<readonly string[]>
}

/** Starts unbound. `roots` says which server has which top zone: `{ test: '127.1.2.4' }`. It ends with the test. */
export async function startUnbound(t: Test, roots: Readonly<Record<string, string>>): Promise<Unbound> {
  const address = ownAddress()
  const folder = await temporaryFolder(t)
  const file = join(folder, 'unbound.conf')
  const logFile = join(folder, 'log')
  await writeFile(logFile, '')
  await writeFile(file, configurationOf(folder, logFile, address, roots))
  const unbound = run(t, 'unbound', ['-d', '-c', file])
  await answersQueries(unbound, address)
  return {
    address: `${address}:53`,
    async queries() {
      const lines = (await readFile(logFile, 'utf8')).matchAll(/ info: [\d.]+ (\S+)\. (\S+) IN$/gm)
      return [...lines].map(([, name, type]) => `${name} ${type}`).filter((query) => !query.includes('.invalid '))
    },
  }
}

function configurationOf(
  folder: string,
  logFile: string,
  address: string,
  roots: Readonly<Record<string, string>>,
): string {
  const zones = Object.entries(roots)
  return `server:
  directory: "${folder}"
  chroot: ""
  username: ""
  pidfile: "${folder}/pid"
  use-syslog: no
  logfile: "${logFile}"
  log-queries: yes
  interface: ${address}@53
  outgoing-interface: ${address}
  access-control: 127.0.0.0/8 allow
  do-not-query-localhost: no
  do-ip6: no
  qname-minimisation: no
  module-config: "iterator"
  cache-max-negative-ttl: 0
  msg-cache-size: 1m
  rrset-cache-size: 1m
${zones.map(([zone]) => `  local-zone: "${zone}." nodefault`).join('\n')}
remote-control:
  control-enable: no
${zones.map(([zone, server]) => `stub-zone:\n  name: "${zone}."\n  stub-addr: ${server}`).join('\n')}
`
}
