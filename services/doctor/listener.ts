import { createServer } from 'node:net'
import { Agent, request } from 'undici'
import { assertInTime, readCertificateFiles } from '../certificate-files.ts'
import type { Configuration, TlsConfiguration } from '../configuration.ts'
import { controlSocketPath } from '../control-socket.ts'
import { hasErrorCode } from '../errors.ts'
import { fault, ok, warning } from './finding.ts'
import type { Result } from './finding.ts'
import type { Patient, RunningServer } from './patient.ts'

/** Certificates of Let's Encrypt are renewed 30 days before their end: two weeks before, something is wrong. */
const SOON_MS = 14 * 86_400_000

/** Checks that the port is free, or that SOAKP itself has it. */
export async function checkPort(
  { dataDir, host, port }: Configuration,
  server: RunningServer | undefined,
  { localAddress, networkMs }: Patient,
): Promise<Result> {
  if (server?.address !== undefined) return ok(`SOAKP itself listens at ${server.address}.`)
  if (port === 0) return ok('Each start takes a free one.')
  const code = await tryToListen(host, port)
  const place = `Port ${port} on ${host}`
  if (code === undefined) return ok(`${place} is free.`)
  if (code === 'EADDRINUSE') {
    if (!(await isSoakp(localAddress, networkMs))) {
      return fault(`${place} is in use by another program.`, 'Stop that program, or set SOAKP_PORT to another port.')
    }
    // Without a socket in the folder, it may be this one's.
    if (controlSocketPath(dataDir) === undefined) return ok(`A SOAKP listens at ${localAddress}.`)
    const message = `${place} is in use by a SOAKP on another data folder.`
    return fault(message, 'Set SOAKP_DATA_DIR to that folder to look at that one, or SOAKP_PORT to another port.')
  }
  if (code === 'EACCES') {
    return fault(`${place} may not be used by this user.`, 'Set SOAKP_PORT to 1024 or more, or grant the port.')
  }
  if (code === 'EADDRNOTAVAIL' || code === 'ENOTFOUND') {
    return fault(`SOAKP_HOST (${host}) is no address of this machine.`, 'Use 127.0.0.1, or 0.0.0.0 for all.')
  }
  return fault(`${place} cannot be listened on (${code}).`, 'Set SOAKP_HOST and SOAKP_PORT to what this machine has.')
}

/** Checks the certificate of SOAKP_TLS=files. */
export async function checkCertificate(tls: TlsConfiguration, now: number): Promise<Result> {
  if (tls.mode === 'off') return ok('SOAKP serves plain HTTP, without a certificate.')
  if (tls.mode === 'local') return ok('SOAKP makes its own, of its local authority, and renews it.')
  const pair = await readCertificateFiles(tls)
  assertInTime(pair, tls.certificateFile, now)
  const message = `The certificate in ${tls.certificateFile} is good until ${pair.notAfter.toISOString()}.`
  if (pair.notAfter.getTime() - now > SOON_MS) return ok(message)
  return warning(message, 'Renew it: SOAKP takes the new one into use by itself.')
}

/** Listens for a moment; returns the code of what hinders it. */
function tryToListen(host: string, port: number): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', (error) => resolve('code' in error ? String(error.code) : error.message))
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
