import { execFile, spawnSync } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { promisify } from 'node:util'
import type { Test } from 'tap'
import { answersFor, asking, createKey, keyFile, zoneFile } from './name-server.ts'
import type { NameServer, TestKey } from './name-server.ts'
import { run } from './process.ts'
import { temporaryFolder } from './soakp.ts'

const execute = promisify(execFile)

/** How a BIND is started. */
export interface BindOptions {
  /** Zone name to records in zone-file syntax, at least one NS; see `zoneFile`. */
  readonly zones: Readonly<Record<string, string>>
  /** Keys that may write TXT records; one for hmac-sha256 unless given. */
  readonly keys?: readonly TestKey[]
  /** Zones that no key may write. */
  readonly readOnly?: readonly string[]
  /** Takes port 53 of an address of its own, which needs root: it is added to the loopback device for the test. */
  readonly address?: string
}

/** Gives the reason to skip a test that starts a BIND, else false. */
export function needsBind(): string | false {
  const missing = ['named', 'dig', 'nsupdate'].find((program) => spawnSync('which', [program]).status !== 0)
  return missing === undefined ? false : `needs ${missing}`
}

/** Starts BIND on a free port of 127.0.0.1, or on port 53 of `address`, and resolves when it answers for every zone. */
export async function startBind(t: Test, options: BindOptions): Promise<NameServer> {
  const { zones, keys = [createKey()], readOnly = [], address = '127.0.0.1' } = options
  if (options.address !== undefined) await addAddress(t, options.address)
  const port = options.address === undefined ? await freePort() : 53
  const folder = await temporaryFolder(t)
  await Promise.all(
    Object.entries(zones).map(([zone, records]) => writeFile(join(folder, `${zone}.zone`), zoneFile(zone, records))),
  )
  const file = join(folder, 'named.conf')
  await writeFile(file, configuration(folder, { zones, keys, readOnly, address, port }))
  const named = run(t, 'named', ['-c', file, '-g', '-n', '1'])
  const started = Promise.all(Object.keys(zones).map((zone) => answersFor(address, port, zone)))
  const failed = named.ended.then(({ stdout, stderr }) => Promise.reject(new Error(`named ended: ${stdout}${stderr}`)))
  failed.catch(() => undefined)
  await Promise.race([started, failed])

  return {
    ...asking(address, port, keys[0] ?? createKey()),
    pause: () => named.kill('SIGSTOP'),
    resume: () => named.kill('SIGCONT'),

    async stop() {
      named.kill('SIGKILL')
      await named.ended
    },
  }
}

/** BIND listens only on addresses that a device has. */
async function addAddress(t: Test, address: string): Promise<void> {
  await execute('ip', ['address', 'add', `${address}/32`, 'dev', 'lo'])
  t.teardown(() => execute('ip', ['address', 'delete', `${address}/32`, 'dev', 'lo']))
}

async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  await new Promise((resolve) => server.close(resolve))
  return port
}

function configuration(
  folder: string,
  { zones, keys, readOnly, address, port }: Required<BindOptions> & { readonly port: number },
): string {
  const grants = keys.map(({ name }) => `grant "${name}" zonesub TXT;`).join(' ')
  const zone = (name: string) => `zone "${name}" {
  type primary;
  file "${folder}/${name}.zone";
  notify no;
  allow-transfer { 127.0.0.0/8; };
  ${readOnly.includes(name) ? '' : `update-policy { ${grants} };`}
};
`
  return `options {
  directory "${folder}";
  session-keyfile "${folder}/session.key";
  pid-file "${folder}/named.pid";
  lock-file none;
  listen-on port ${port} { ${address}; };
  listen-on-v6 { none; };
  tcp-listen-queue 128;
  recursion no;
  dnssec-validation no;
  notify no;
};
controls { };
${keys.map(keyFile).join('')}${Object.keys(zones).map(zone).join('')}`
}
