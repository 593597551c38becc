import { createServer } from 'node:net'
import { Agent, request } from 'undici'
import type { Configuration } from '../configuration.ts'
import { controlSocketPath } from '../control-socket.ts'
import { hasErrorCode } from '../errors.ts'
import { fault, faultOf, ok } from './finding.ts'
import type { Result } from './finding.ts'
import type { Patient, RunningServer } from './patient.ts'

/** Checks that the port is free, or that SOAKP itself has it. */
export async function checkPort(
  { dataDir, host, port }: Configuration,
  server: RunningServer | undefined,
  { localAddress, networkMs, refusedPort }: Patient,
): Promise<Result> {
  if (server?.address !== undefined) return ok(`SOAKP itself listens at ${server.address}.`)
  if (port === 0) return ok('Each start takes a free one.')
  const error = await tryToListen(host, port)
  const code = error?.code
  const place = `Port ${port} on ${host}`
  if (error === undefined) return ok(`${place} is free.`)
  if (code === 'EADDRINUSE') {
    if (!(await isSoakp(localAddress, networkMs))) {
      return fault(`${place} is in use by another program.`, 'Stop that program, or set SOAKP_PORT to another port.')
    }
    // Without a socket in the folder, it may be this one's.
    if (controlSocketPath(dataDir) === undefined) return ok(`A SOAKP listens at ${localAddress}.`)
    const message = `${place} is in use by a SOAKP on another data folder.`
    return fault(message, 'Set SOAKP_DATA_DIR to that folder to look at that one, or SOAKP_PORT to another port.')
  }
  if (code === 'EACCES') return faultOf({ message: refusedPort(error) })
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') {
    return fault(`SOAKP_HOST (${host}) is no address of this machine.`, 'Use 127.0.0.1, or 0.0.0.0 for all.')
  }
  return fault(
    `${place} cannot be listened on (${code ?? error.message}).`,
    'Set SOAKP_HOST and SOAKP_PORT to what this machine has.',
  )
}

/** Listens for a moment; returns what hinders it. */
function tryToListen(host: string, port: number): Promise<NodeJS.ErrnoException | undefined> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', resolve)
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(undefined)))
  })
}

/** Tells whether what listens there is a SOAKP. Nothing secret is sent, so its certificate does not matter. */
async function isSoakp(address: string, networkMs: number): Promise<boolean> {
  const dispatcher = new Agent({ connect: { rejectUnauthorized: false } })
  try {
    const signal = AbortSignal.timeout(networkMs)
    const { statusCode, headers, body } = await request(`${address}/soakp/me`, { dispatcher, signal })
    const text = await body.text()
    return statusCode === 401 && headers['x-request-id'] !== undefined && text.includes('SOAKP_')
  } catch (error) {
    if (hasErrorCode(error, 'ERR_INVALID_URL')) throw error
    return false
  } finally {
    await dispatcher.destroy()
  }
}
