import type { TlsConfiguration } from '../configuration.ts'
import { SoakpError } from '../errors.ts'
import { isTrustedBy, readAuthority } from '../trust/authority.ts'
import { fault, ok } from './finding.ts'
import type { Result } from './finding.ts'

/** Checks that this machine or its Node trusts the local authority, without which no client gets through. */
export async function checkAuthority(tls: TlsConfiguration, file: string, now: number): Promise<Result> {
  if (tls.mode !== 'local') return ok('It is not used.')
  try {
    const authority = await readAuthority(file)
    if (authority.expiresAt.getTime() <= now) {
      const message = `The local authority expired at ${authority.expiresAt.toISOString()}.`
      return fault(message, 'Use SOAKP_TLS=files with another certificate, or begin with a new data folder.')
    }
    const system = isTrustedBy('system', authority)
    const node = isTrustedBy('default', authority)
    if (system && node) return ok('The system and Node trust it.')
    if (system) return ok(`The system trusts it; Node does with --use-system-ca or NODE_EXTRA_CA_CERTS=${file}.`)
    if (node) return ok('Node trusts it as it is started here; for browsers, `soakp ca trust`.')
    const remedy = `Type \`soakp ca trust\` for the system and browsers, and set NODE_EXTRA_CA_CERTS=${file} for Node.`
    return fault('Neither the system nor Node trusts the local authority.', remedy)
  } catch (error) {
    if (error instanceof SoakpError && error.code === 'SOAKP_NO_AUTHORITY') {
      return ok('There is none yet: the first start makes it.')
    }
    throw error
  }
}
