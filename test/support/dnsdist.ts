import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Test } from 'tap'
import { answersQueries } from './dns-query.ts'
import { ownAddress } from './name-server.ts'
import { run } from './process.ts'
import { temporaryFolder } from './soakp.ts'

/**
 * Starts dnsdist in front of servers (addresses, asked on port 53), which it asks in turn, and returns where it is
 * asked itself: `127.1.2.3:53`. Pebble looks a challenge up three times, so with three servers each is asked once: an
 * authority that sees a server that lags, every time. It ends with the test.
 */
export async function startDnsdist(t: Test, servers: readonly string[]): Promise<string> {
  const address = ownAddress()
  const file = join(await temporaryFolder(t), 'dnsdist.conf')
  // Without the first line it asks the Internet whether it is up to date; one thread keeps the turns in order.
  const lines = [
    'setSecurityPollSuffix("")',
    `setLocal("${address}:53")`,
    'setACL({"127.0.0.0/8"})',
    'setMaxTCPClientThreads(1)',
    'addAction("invalid.", RCodeAction(DNSRCode.NXDOMAIN))',
    ...servers.map((server) => `newServer({address="${server}:53"}):setUp()`),
    'setServerPolicy(roundrobin)',
  ]
  await writeFile(file, `${lines.join('\n')}\n`)
  await answersQueries(run(t, 'dnsdist', ['-C', file, '--supervised']), address)
  return `${address}:53`
}
