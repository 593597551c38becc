import { setTimeout as delay } from 'node:timers/promises'
import fp from 'fastify-plugin'
import type { FastifyInstance } from 'fastify'
import type { AcmeConfiguration } from '../services/acme-configuration.ts'
import type { CertificateEvent, Certificates } from '../services/certificates/index.ts'
import { systemClock } from '../services/clock.ts'
import { describeError, scrub } from '../services/log-fields.ts'
import type { SoakpOptions } from '../services/options.ts'

/** Options of this plugin: what gets certificates in place of what the configuration says. */
export interface CertificatesOptions extends SoakpOptions {
  readonly certificates?: Certificates
}

/** What is open when SOAKP stops gets this long. */
const CLOSE_MS = 2_000

const LEVELS: Partial<Record<CertificateEvent['kind'], 'warn' | 'error'>> = {
  'attempt-failed': 'error',
  'hold-set': 'warn',
  warning: 'warn',
}

/** How long one call of a certificate authority may take. */
const CALL_MS = 30_000

/** Puts together what gets the certificate of SOAKP_DOMAIN. It does nothing before it is started, see plugins/tls.ts. */
async function certificates(app: FastifyInstance, options: CertificatesOptions): Promise<void> {
  const { acme } = options.configuration
  const made = acme && (options.certificates ?? (await create(app, acme)))
  app.decorate('certificates', made)
  if (made === undefined) return
  let closed: Promise<void> | undefined

  function close(): Promise<void> {
    closed ??= (made as Certificates).close().catch((error: unknown) => {
      app.log.error({ error: describeError(error) }, 'getting certificates not ended well')
    })
    return closed
  }

  // Running calls may take long to end; no attempt goes on meanwhile.
  app.addHook('preClose', async () => void close())
  app.addHook('onClose', async () => {
    const limit = new AbortController()
    // This wait does keep the process alive: what closes after it has something to write.
    await Promise.race([close(), delay(CLOSE_MS, undefined, { signal: limit.signal }).catch(() => undefined)])
    limit.abort()
  })
}

async function create(app: FastifyInstance, configuration: AcmeConfiguration): Promise<Certificates> {
  // Loading all this takes 300 ms, which who has no domain need not pay.
  const [{ createAcmeClient }, { createCertificateRequest }, { createChallenger }, { createCertificates }] =
    await Promise.all([
      import('../services/acme/client.ts'),
      import('../services/acme/certificate-request.ts'),
      import('../services/challenge/challenger.ts'),
      import('../services/certificates/manager.ts'),
    ])
  const clock = systemClock
  const { secrets } = app.unsealed
  const { certificates: roots, dns } = configuration
  const challenger = createChallenger({ configuration: dns, secrets, clock })
  const made = createCertificates({
    configuration,
    secrets,
    challenger,
    createClient: (directory, accountKey) =>
      createAcmeClient({ directory, accountKey, certificates: roots, clock, timeoutMs: CALL_MS }),
    createRequest: createCertificateRequest,
    clock,
    tell: (event, cause) => logEvent(app, event, cause),
  })
  return {
    ...made,
    async close() {
      await made.close()
      await challenger.close()
    },
  }
}

/** Logs what happened, in the event's own words, with the error behind it; events hold nothing secret. */
function logEvent(app: FastifyInstance, event: CertificateEvent, cause: unknown): void {
  const { kind, attempt, directory, duration_ms, code, problem, message } = event
  const given = Object.entries({ attempt, directory, duration_ms, code, problem }).filter(([, value]) => value !== null)
  const error = cause === undefined ? {} : { error: describeError(cause) }
  app.log[LEVELS[kind] ?? 'info']({ kind, ...Object.fromEntries(given), ...error }, scrub(message))
}

export default fp(certificates, { name: 'certificates', fastify: '5.x', dependencies: ['vault'] })

declare module 'fastify' {
  interface FastifyInstance {
    /** Gets the certificate of SOAKP_DOMAIN; undefined without it. */
    readonly certificates: Certificates | undefined
  }
}
