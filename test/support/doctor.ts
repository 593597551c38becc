import { once } from 'node:events'
import { createServer } from 'node:net'
import type { AddressInfo, Server } from 'node:net'
import type { Test } from 'tap'
import { examineEnvironment } from '../../cli/doctor.ts'
import type { ExaminationOptions } from '../../cli/doctor.ts'
import type { Finding } from '../../services/doctor/finding.ts'
import { ADMIN, startSoakp } from './soakp.ts'

/** An upstream on this machine that nobody runs: without one, the doctor would ask OpenAI. */
const NOBODY = 'http://127.0.0.1:9/v1'

/** A folder with a vault, a key and a token in it that no server runs on, and the environment that belongs to it. */
export async function stoppedSoakp(t: Test) {
  const server = await startSoakp(t)
  const { id, tokenId } = await server.saveKey({ name: 'team' })
  await server.app.close()
  const { dataDir, upstream } = server
  const environment = {
    SOAKP_DATA_DIR: dataDir,
    SOAKP_UPSTREAM: upstream.url,
    SOAKP_PORT: '0',
    SOAKP_ADMIN_TOKEN: ADMIN,
  }
  return { dataDir, upstream, environment, id, tokenId }
}

/** Examines an environment and returns what was found, by check. */
export async function examine(environment: Record<string, string>, options: ExaminationOptions = {}) {
  const findings = await examineEnvironment({ SOAKP_PORT: '0', SOAKP_UPSTREAM: NOBODY, ...environment }, options)
  return Object.fromEntries(findings.map((each) => [each.check, each]))
}

/** Asserts that a check found this fault, and that the remedy says what to do. */
export function isFault(t: Test, finding: Finding | undefined, message: RegExp, remedy: RegExp): void {
  t.match(finding, { status: 'fault', message, remedy }, `fault: ${message}`)
}

/** Listens on a free port, or on a path, and takes each connection as `server` does. Returns the port. */
export async function listen(t: Test, server: Server = createServer(), path?: string): Promise<number> {
  server.listen(path ?? { port: 0, host: '127.0.0.1' })
  await once(server, 'listening')
  t.teardown(() => server.close())
  return path === undefined ? (server.address() as AddressInfo).port : 0
}
