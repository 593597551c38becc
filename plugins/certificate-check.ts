import fp from 'fastify-plugin'
import type { FastifyInstance } from 'fastify'
import type { AcmeConfiguration } from '../services/acme-configuration.ts'
import { systemClock } from '../services/clock.ts'
import type { Finding } from '../services/doctor/finding.ts'
import type { SoakpOptions } from '../services/options.ts'

/** A zone's servers may be slow; whoever waits for the answer is not kept longer. */
const LONGEST_MS = 300_000
const LONGEST_WAIT_MS = 60_000
const CALL_MS = 15_000

/** Provides the check of what getting the certificate of SOAKP_DOMAIN needs. */
async function certificateCheck(app: FastifyInstance, { configuration: { acme } }: SoakpOptions): Promise<void> {
  const closing = new AbortController()
  let running: Promise<readonly Finding[]> | undefined
  // Who asks while it runs gets the same answer: each check writes records.
  const check = (configuration: AcmeConfiguration) =>
    (running ??= runCheck(app, configuration, closing.signal).finally(() => (running = undefined)))
  app.decorate('checkCertificates', acme && (() => check(acme)))
  app.addHook('preClose', async () => closing.abort())
  app.addHook('onClose', async () => {
    await running?.catch(() => undefined)
  })
}

async function runCheck(
  app: FastifyInstance,
  acme: AcmeConfiguration,
  closing: AbortSignal,
): Promise<readonly Finding[]> {
  // What it needs takes long to load and is rarely asked for.
  const [{ createAcmeClient }, { createRecords }, { createChallengeCheck }, { checkCertificate }] = await Promise.all([
    import('../services/acme/client.ts'),
    import('../services/certificates/records.ts'),
    import('../services/challenge/check.ts'),
    import('../services/certificate-check/index.ts'),
  ])
  const { secrets } = app.unsealed
  const { certificates } = acme
  const dns = { ...acme.dns, waitMs: Math.min(acme.dns.waitMs, LONGEST_WAIT_MS), delayMs: 0 }
  const check = createChallengeCheck({ configuration: dns, secrets, clock: systemClock })
  const records = createRecords(secrets)
  try {
    return await checkCertificate(
      {
        configuration: acme,
        check,
        createClient: (directory) =>
          createAcmeClient({ directory, accountKey: '', certificates, clock: systemClock, timeoutMs: CALL_MS }),
        accountOf: async (directory) => (await records.readAccount(directory))?.url ?? undefined,
      },
      AbortSignal.any([closing, AbortSignal.timeout(LONGEST_MS)]),
    )
  } finally {
    await check.close()
  }
}

export default fp(certificateCheck, {
  name: 'certificate-check',
  fastify: '5.x',
  dependencies: ['vault', 'certificates'],
})

declare module 'fastify' {
  interface FastifyInstance {
    /** Looks for what would go wrong before an authority is asked; undefined without SOAKP_DOMAIN. */
    readonly checkCertificates: (() => Promise<readonly Finding[]>) | undefined
  }
}
