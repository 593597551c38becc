import type { FastifyInstance } from 'fastify'
import { certificateFaults } from '../services/certificate-readiness.ts'
import type { CertificateSwap } from '../services/certificate-swap.ts'
import type { Certificates } from '../services/certificates/index.ts'
import { SoakpError } from '../services/errors.ts'
import type { LocalRenewal } from '../services/local-renewal.ts'
import { describeError } from '../services/log-fields.ts'

/**
 * Serves the certificate that was got last, or the local authority's until there is one, and has it renewed as soon as
 * SOAKP listens: one that cannot listen, or finds another on its data folder, orders nothing.
 */
export function followAuthority(app: FastifyInstance, swap: CertificateSwap, local: LocalRenewal): void {
  const { certificates } = app
  if (certificates === undefined) {
    throw new SoakpError(500, 'SOAKP_CONFIGURATION', 'SOAKP_TLS=acme needs SOAKP_DOMAIN, the names of the certificate.')
  }
  app.addHook('onReady', async () => {
    if (!(await beginWithStored(app, certificates, swap))) await local.begin()
  })
  app.addHook('onListen', async () => {
    try {
      await app.claimDataFolder()
    } catch (error) {
      app.log.error({ error: describeError(error) }, 'certificate not watched')
      return
    }
    certificates.start((pair) => local.giveWay(() => swap.use(pair)))
  })
  app.decorate('certificateFaults', async () => {
    const status = await certificates.status().catch(() => undefined)
    const { current } = swap
    return current === undefined ? [] : certificateFaults({ ...current, isLocal: local.isOn }, status, Date.now())
  })
}

/** Serves the stored certificate and tells whether there is one. No fault of it hinders the start. */
async function beginWithStored(app: FastifyInstance, stored: Certificates, swap: CertificateSwap): Promise<boolean> {
  try {
    return await stored.begin((pair) => swap.begin(pair))
  } catch (error) {
    app.log.error({ error: describeError(error) }, 'stored certificate not used')
    return false
  }
}

declare module 'fastify' {
  interface FastifyInstance {
    /** Says why the certificate is not what it should be, none when it is; absent where SOAKP gets no certificate. */
    readonly certificateFaults?: () => Promise<readonly string[]>
  }
}
