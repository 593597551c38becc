import type { Server } from 'node:tls'
import fp from 'fastify-plugin'
import type { FastifyInstance } from 'fastify'
import { assertInTime } from '../services/certificate-files.ts'
import type { CertificateFiles } from '../services/certificate-files.ts'
import { createCertificateSwap } from '../services/certificate-swap.ts'
import type { CertificateSwap } from '../services/certificate-swap.ts'
import { createChangingCertificate } from '../services/changing-certificate.ts'
import type { Configuration } from '../services/configuration.ts'
import { issueOwnCertificate } from '../services/local-certificate.ts'
import { createLocalRenewal } from '../services/local-renewal.ts'
import type { LocalRenewal } from '../services/local-renewal.ts'
import { describeError } from '../services/log-fields.ts'
import type { SoakpOptions } from '../services/options.ts'
import { followAuthority } from './tls-acme.ts'

/** Options of this plugin: how often it looks whether the files of `SOAKP_TLS=files` have changed. */
export interface TlsOptions extends SoakpOptions {
  readonly certificatePollMs?: number
}

const POLL_MS = 5_000

/** Gives the server its certificate before it listens, and a new one in time. */
async function tls(app: FastifyInstance, { configuration, certificatePollMs = POLL_MS }: TlsOptions): Promise<void> {
  const { server } = app as { server: object }
  const { tls: settings } = configuration
  if (settings.mode === 'off' || !isTlsServer(server)) return
  const swap = createCertificateSwap(server, Date.now)
  if (settings.mode === 'files') {
    followFiles(app, settings, swap, certificatePollMs)
    return
  }
  const local = createLocal(app, configuration, swap)
  if (settings.mode === 'acme') followAuthority(app, swap, local)
  else app.addHook('onReady', () => local.begin())
}

/** Takes changed files into use: every few seconds it looks for them, and at once on SIGHUP. */
function followFiles(app: FastifyInstance, files: CertificateFiles, swap: CertificateSwap, pollMs: number): void {
  const certificate = createChangingCertificate(
    files,
    {
      async take(pair) {
        await swap.use(pair)
        app.log.info({ expires: pair.notAfter.toISOString() }, 'changed certificate taken into use')
      },
      refuse: (error) =>
        app.log.error({ error: describeError(error) }, 'changed certificate not taken: the old one goes on'),
    },
    Date.now,
  )
  const look = () => void certificate.look()
  let timer: NodeJS.Timeout | undefined

  app.addHook('onReady', async () => {
    const pair = await certificate.first()
    try {
      assertInTime(pair, files.certificateFile, Date.now())
    } catch (error) {
      app.log.error({ error: describeError(error) }, 'the certificate is used all the same until there is a better one')
    }
    swap.begin(pair)
    timer = setInterval(look, pollMs).unref()
    process.on('SIGHUP', look)
  })
  app.addHook('onClose', async () => {
    clearInterval(timer)
    process.off('SIGHUP', look)
  })
}

function createLocal(app: FastifyInstance, { dataDir, host }: Configuration, swap: CertificateSwap): LocalRenewal {
  const local = createLocalRenewal({
    issue: (now) => issueOwnCertificate(app.unsealed.secrets, { dataDir, host }, now),
    use: (issued) => swap.use(issued),
    fail: (error) => app.log.error({ error: describeError(error) }, 'local certificate not renewed'),
    now: Date.now,
  })
  app.addHook('onClose', async () => local.close())
  return local
}

/** With HTTP/2 the server is one of node:http2, else of node:https; both are TLS servers. */
function isTlsServer(server: object): server is Server {
  return 'setSecureContext' in server && 'setTicketKeys' in server
}

export default fp(tls, { name: 'tls', fastify: '5.x', dependencies: ['vault', 'certificates', 'control'] })
