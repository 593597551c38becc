import { execFile, spawnSync } from 'node:child_process'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Test } from 'tap'
import { answersFor, asking, createKey, nameServers, needsPort53, ownAddress, zoneFile } from './name-server.ts'
import type { NameServer, TestKey } from './name-server.ts'
import { run } from './process.ts'
import { temporaryFolder } from './soakp.ts'

const execute = promisify(execFile)

/** How a Knot is started. */
export interface KnotOptions {
  /** One of `ownAddress()` unless given; needed beforehand where a zone names its server's address. */
  readonly address?: string
  readonly port?: number
  /** Zone name to records in zone-file syntax; see `zoneFile`. The names alone where `primary` has them. */
  readonly zones: Readonly<Record<string, string>>
  /** Keys that may write TXT records; one for hmac-sha256 unless given. */
  readonly keys?: readonly TestKey[]
  /** Zones that no key may write. */
  readonly readOnly?: readonly string[]
  /** Addresses of secondaries that are told of every change at once. */
  readonly notify?: readonly string[]
  /** Makes it a secondary of this server: with what stood there at its start, then as `notify` or `refresh()` has it. */
  readonly primary?: NameServer
}

/** A running Knot. */
export interface Knot extends NameServer {
  /** Fetches a zone from the primary and resolves when it is served: how a test ends a lag, without waiting. */
  refresh(zone: string): Promise<void>
  /** Runs knotc. */
  control(...args: readonly string[]): Promise<string>
}

/** Gives the reason to skip a test that starts a Knot on port 53, else false. */
export function needsKnot(): string | false {
  const missing = ['knotd', 'dig', 'nsupdate'].find((program) => spawnSync('which', [program]).status !== 0)
  return missing === undefined ? needsPort53() : `needs ${missing}`
}

/** Starts Knot on a 127/8 address, port 53 unless told, and resolves when it answers for every zone. Anybody may transfer. */
export async function startKnot(t: Test, options: KnotOptions): Promise<Knot> {
  const { address = ownAddress(), port = 53, keys = [createKey()], zones } = options
  const folder = await temporaryFolder(t)
  await mkdir(join(folder, 'db'))
  await Promise.all(
    Object.entries(zones).map(([zone, records]) => writeFile(zonePath(folder, zone), zoneFile(zone, records))),
  )
  const file = join(folder, 'knot.conf')
  await writeFile(file, configuration(folder, { ...options, address, port, keys }))
  const knotd = run(t, 'knotd', ['-c', file])
  const names = Object.keys(zones)
  const started = Promise.all(names.map((zone) => answersFor(address, port, zone)))
  const failed = knotd.ended.then(({ stdout, stderr }) => Promise.reject(new Error(`knotd ended: ${stdout}${stderr}`)))
  failed.catch(() => undefined)
  await Promise.race([started, failed])

  async function control(...args: readonly string[]): Promise<string> {
    const { stdout } = await execute('knotc', ['-c', file, '-b', '-t', '20', ...args])
    return stdout
  }

  return {
    ...asking(address, port, keys[0] ?? createKey()),
    control,
    pause: () => knotd.kill('SIGSTOP'),
    resume: () => knotd.kill('SIGCONT'),

    async stop() {
      knotd.kill('SIGKILL')
      await knotd.ended
    },

    async refresh(zone) {
      await control('zone-retransfer', zone)
    },
  }
}

/** A zone that a parent delegates to several servers. */
export interface DelegatedZone {
  readonly zone: string
  /** Of the zone above, which holds the NS records and glue: where a resolver's stub points. */
  readonly parent: Knot
  readonly primary: Knot
  /** Is told of every change at once; `following.caughtUp(zone, primary)` waits for it. */
  readonly following: Knot
  /** Has a change only after `lagging.refresh(zone)`. */
  readonly lagging: Knot
}

/**
 * Starts the zone with ns1 (primary), ns2 (following) and ns3 (lagging), and its parent. `records` and `parentRecords`
 * are added to theirs, names relative to each zone.
 */
export async function startDelegatedZone(
  t: Test,
  zone: string,
  {
    records = '',
    parentRecords = '',
    keys = [createKey()],
  }: { readonly records?: string; readonly parentRecords?: string; readonly keys?: readonly TestKey[] } = {},
): Promise<DelegatedZone> {
  const [ns1, ns2, ns3] = [ownAddress(), ownAddress(), ownAddress()]
  const delegation = nameServers(zone, { ns1, ns2, ns3 })
  const above = zone.slice(zone.indexOf('.') + 1)
  const address = ownAddress()
  const parentZone = `${nameServers(above, { ns: address })}${delegation}${parentRecords}`
  const [parent, primary] = await Promise.all([
    startKnot(t, { address, zones: { [above]: parentZone }, keys }),
    startKnot(t, { address: ns1, zones: { [zone]: `${delegation}${records}` }, keys, notify: [ns2] }),
  ])
  const [following, lagging] = await Promise.all([
    startKnot(t, { address: ns2, zones: { [zone]: '' }, primary, keys }),
    startKnot(t, { address: ns3, zones: { [zone]: '' }, primary, keys }),
  ])
  return { zone, parent, primary, following, lagging }
}

function zonePath(folder: string, zone: string): string {
  return join(folder, `${zone === '' ? 'root' : zone}.zone`)
}

/** Knot takes block YAML only. */
function configuration(
  folder: string,
  options: KnotOptions & { readonly address: string; readonly port: number; readonly keys: readonly TestKey[] },
): string {
  const { address, port, keys, zones, readOnly = [], notify = [], primary } = options
  const workers = ['udp-workers', 'tcp-workers', 'background-workers'].map((kind) => `    ${kind}: 1\n`).join('')
  const remotes = [
    ...notify.map((host, index) => `  - id: secondary${index}\n    address: ${host}@53\n`),
    ...(primary === undefined ? [] : [`  - id: primary\n    address: ${primary.address}@${primary.port}\n`]),
  ]
  const zone = (name: string) =>
    primary === undefined
      ? `  - domain: "${name === '' ? '.' : name}"
    file: "${zonePath(folder, name)}"
    zonefile-sync: -1
    zonefile-load: whole
    acl: [${readOnly.includes(name) ? 'transfer' : 'update, transfer'}]
${notify.length === 0 ? '' : `    notify: [${notify.map((_, index) => `secondary${index}`).join(', ')}]\n`}`
      : `  - domain: "${name}"
    file: "${zonePath(folder, `${name}.secondary`)}"
    zonefile-sync: -1
    zonefile-load: none
    master: primary
    acl: [notify, transfer]
`
  return `server:
    rundir: "${folder}"
    listen: "${address}@${port}"
${workers}database:
    storage: "${folder}/db"
log:
  - target: stderr
    any: notice
key:
${keys.map((key) => `  - id: "${key.name}"\n    algorithm: ${key.algorithm}\n    secret: "${key.secret}"\n`).join('')}acl:
  - id: update
    key: [${keys.map(({ name }) => `"${name}"`).join(', ')}]
    action: update
    update-type: TXT
  - id: transfer
    address: [127.0.0.0/8, "::1"]
    action: transfer
  - id: notify
    address: [127.0.0.0/8, "::1"]
    action: notify
${remotes.length === 0 ? '' : `remote:\n${remotes.join('')}`}zone:
${Object.keys(zones).map(zone).join('')}`
}
