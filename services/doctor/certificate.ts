import { assertInTime, readCertificateFiles } from '../certificate-files.ts'
import type { CertificateFiles } from '../certificate-files.ts'
import { coversHost } from '../certificate-names.ts'
import { isLate } from '../certificate-readiness.ts'
import type { CertificateStatus } from '../certificates/index.ts'
import type { Configuration } from '../configuration.ts'
import { SoakpError } from '../errors.ts'
import { fault, faultOf, ok, skipped, warning } from './finding.ts'
import type { Result } from './finding.ts'
import type { VaultAccess } from './vault.ts'

/** Certificates of Let's Encrypt are renewed 30 days before their end: two weeks before, something is wrong. */
const SOON_MS = 14 * 86_400_000

const CHECK = '`soakp acme check` looks for the cause, and `soakp acme status` shows what has happened.'

/** Checks the certificate of SOAKP_TLS=files or of SOAKP_DOMAIN. */
export async function checkCertificate(
  access: VaultAccess,
  { acme, tls }: Pick<Configuration, 'acme' | 'tls'>,
  now: number,
): Promise<Result> {
  if (tls.mode === 'off') return ok('SOAKP serves plain HTTP, without a certificate.')
  if (tls.mode === 'local') return ok('SOAKP makes its own, of its local authority, and renews it.')
  if (tls.mode === 'files') return checkFiles(tls, now)
  const isRunning = (await access.serverIfAny()) !== undefined
  try {
    const { status, value } = await access.ask('GET', '/soakp/certificates')
    if (status === 200) return statusResult(value as CertificateStatus, acme?.names ?? [], isRunning, now)
    const message = 'SOAKP runs without the domain that the environment sets now (SOAKP_DOMAIN).'
    if (status === 404) return warning(message, 'Start it again with this environment.')
    return fault(`The state of the certificate cannot be read (status ${status}).`, 'Look at the log of SOAKP.')
  } catch (error) {
    if (!(error instanceof SoakpError)) throw error
    if (error.code === 'SOAKP_NO_VAULT') return ok('There is none yet: the first start gets it.')
    return skipped('Not checked: first server and secret must be right.')
  }
}

async function checkFiles(files: CertificateFiles, now: number): Promise<Result> {
  const pair = await readCertificateFiles(files)
  assertInTime(pair, files.certificateFile, now)
  const message = `The certificate in ${files.certificateFile} is good until ${pair.notAfter.toISOString()}.`
  if (pair.notAfter.getTime() - now > SOON_MS) return ok(message)
  return warning(message, 'Renew it: SOAKP takes the new one into use by itself.')
}

/** Judges the state of the certificate of SOAKP_DOMAIN; `wanted` are the names that the environment sets. */
export function statusResult(
  status: CertificateStatus,
  wanted: readonly string[],
  isRunning: boolean,
  now: number,
): Result {
  const { certificate, names, serving, state } = status
  if (wanted.length !== names.length || !wanted.every((name) => names.includes(name))) {
    const message = `SOAKP runs with the names ${names.join(', ')}, and the environment sets ${wanted.join(', ')} now.`
    return warning(message, 'Start it again with this environment: it gets a certificate for them.')
  }
  const renews = isRunning ? '' : ' No SOAKP runs that would get one.'
  if (certificate === null) return missing(status, isRunning)
  const { not_before: begin, not_after: end } = certificate
  const leftMs = end * 1_000 - now
  const until = new Date(end * 1_000).toISOString()
  const bad = (message: string) => withError(fault(`${message}${renews}`, CHECK), status)
  if (state === 'revoked') return bad('The certificate is revoked: clients refuse it.')
  if (leftMs <= 0) return bad(`The certificate expired at ${until}: clients refuse it.`)
  const uncovered = names.filter((name) => !certificate.names.some((each) => coversHost(each, name)))
  if (uncovered.length > 0) return bad(`The certificate is not for ${uncovered.join(', ')}, which is set now.`)
  if (isRunning && serving === 'local') {
    return bad("There is a certificate, but the local authority's is served, which clients do not trust.")
  }
  const life = { notBefore: new Date(begin * 1_000), notAfter: new Date(end * 1_000) }
  if (isLate(life, now)) return bad(`The certificate ends at ${until} and is not renewed yet.`)
  const message = `The certificate for ${certificate.names.join(', ')} is good until ${until}.`
  return status.last_error === null ? ok(message) : withError(warning(message, CHECK), status)
}

function missing(status: CertificateStatus, isRunning: boolean): Result {
  const message = `There is no certificate for ${status.names.join(', ')} yet.`
  if (!isRunning && status.last_error === null) return ok(`${message} The next start gets it.`)
  if (status.running !== null && status.last_error === null) {
    const remedy = 'Wait: `soakp acme status` shows how far it is.'
    return warning(`${message} SOAKP is getting it (${status.running.phase}).`, remedy)
  }
  const served = isRunning ? " The local authority's is served, which clients do not trust." : ''
  return withError(fault(message + served, CHECK), status)
}

/** Adds why the last attempt failed and what to do about it, and until when the authority is not asked again. */
function withError(result: Result, { holds, last_error: error }: CertificateStatus): Result {
  if (error === null) return result
  const { message, remedy } = faultOf(error, CHECK)
  const [hold] = holds
  const until = new Date((hold?.until ?? 0) * 1_000).toISOString()
  // What was told already need not be told twice.
  const because = hold?.reason === error.message ? '.' : `: ${hold?.reason}`
  const waits = hold === undefined ? '' : ` SOAKP waits until ${until}${because}`
  return { ...result, message: `${result.message} The last attempt failed: ${message}${waits}`, remedy }
}
