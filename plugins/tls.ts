import { randomBytes } from 'node:crypto'
import { hostname, networkInterfaces } from 'node:os'
import { join } from 'node:path'
import type { SecureContextOptions, Server } from 'node:tls'
import fp from 'fastify-plugin'
import type { FastifyInstance } from 'fastify'
import { assertInTime } from '../services/certificate-files.ts'
import type { CertificateFiles } from '../services/certificate-files.ts'
import { createChangingCertificate } from '../services/changing-certificate.ts'
import { LOCAL_AUTHORITY_FILE } from '../services/data-files.ts'
import { writeDurably } from '../services/files.ts'
import type { LocalAuthority } from '../services/local-authority.ts'
import { describeError } from '../services/log-fields.ts'
import type { SoakpOptions } from '../services/options.ts'

/** Options of this plugin: how often it looks whether the files of `SOAKP_TLS=files` have changed. */
export interface TlsOptions extends SoakpOptions {
  readonly certificatePollMs?: number
}

const POLL_MS = 5_000
const HOUR_MS = 3_600_000

/** Everything of TLS that is not the certificate. `setSecureContext` forgets what it is not told each time. */
const SECURE: SecureContextOptions = { minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3', honorCipherOrder: true }

interface Material {
  readonly cert: string
  readonly key: string
}

/** Gives the server its certificate before it listens, and a new one in time. */
async function tls(app: FastifyInstance, { configuration, certificatePollMs }: TlsOptions): Promise<void> {
  const { server } = app as { server: object }
  const { dataDir, host, tls: settings } = configuration
  if (settings.mode === 'off' || !isTlsServer(server)) return
  const use = ({ cert, key }: Material) => useMaterial(server, { cert, key })
  if (settings.mode === 'files') followFiles(app, settings, use, certificatePollMs ?? POLL_MS)
  else renewLocal(app, dataDir, host, use)
}

/**
 * Swaps the certificate. Connections that exist go on as they are; new ones get the new certificate, also those that
 * would resume a session: with other ticket keys its ticket opens no more.
 */
function useMaterial(server: Server, { cert, key }: Material): void {
  server.setSecureContext({ ...SECURE, cert, key })
  server.setTicketKeys(randomBytes(48))
}

/** Takes changed files into use: every few seconds it looks for them, and at once on SIGHUP. */
function followFiles(app: FastifyInstance, files: CertificateFiles, use: (it: Material) => void, pollMs: number): void {
  const certificate = createChangingCertificate(
    files,
    {
      take(pair) {
        use(pair)
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
    use(pair)
    timer = setInterval(look, pollMs).unref()
    process.on('SIGHUP', look)
  })
  app.addHook('onClose', async () => {
    clearInterval(timer)
    process.off('SIGHUP', look)
  })
}

/** Issues a certificate of the local authority, and the next when two thirds of its time are over. */
function renewLocal(app: FastifyInstance, dataDir: string, host: string, use: (it: Material) => void): void {
  let renewAt = 0

  async function renew(): Promise<void> {
    const issued = await issueLocal(app, dataDir, host)
    use(issued)
    renewAt = issued.renewAt
  }

  const timer = setInterval(() => {
    if (Date.now() < renewAt) return
    renew().catch((error: unknown) => app.log.error({ error: describeError(error) }, 'local certificate not renewed'))
  }, HOUR_MS).unref()

  app.addHook('onReady', renew)
  app.addHook('onClose', async () => clearInterval(timer))
}

/** Issues a certificate of the local authority for this machine's names, making the authority on a first start. */
async function issueLocal(app: FastifyInstance, dataDir: string, host: string) {
  // Loading the X.509 library takes 60 ms, which other modes need not pay.
  const { createLocalAuthority, issueLocalCertificate, permittedNames } = await import('../services/local-authority.ts')
  const now = new Date()
  const { value } = await app.unsealed.secrets.findOrMake<LocalAuthority>('local-authority', () =>
    createLocalAuthority(now),
  )
  await writeDurably(join(dataDir, LOCAL_AUTHORITY_FILE), value.certificatePem, 0o644)
  const names = permittedNames(value, namesOf(host))
  const { certificatePem, privateKeyPem, notAfter } = await issueLocalCertificate(value, names, now)
  const renewAt = now.getTime() + ((notAfter.getTime() - now.getTime()) * 2) / 3
  return { cert: certificatePem, key: privateKeyPem, renewAt }
}

function namesOf(host: string): string[] {
  const isWildcard = host === '0.0.0.0' || host === '::'
  const addresses = isWildcard
    ? Object.values(networkInterfaces()).flatMap((each) => each?.map(({ address }) => address) ?? [])
    : [host]
  return [...new Set(['localhost', '127.0.0.1', '::1', hostname(), ...addresses])]
}

/** With HTTP/2 the server is one of node:http2, else of node:https; both are TLS servers. */
function isTlsServer(server: object): server is Server {
  return 'setSecureContext' in server && 'setTicketKeys' in server
}

export default fp(tls, { name: 'tls', fastify: '5.x', dependencies: ['vault'] })
