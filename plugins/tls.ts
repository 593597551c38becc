import { X509Certificate, createPrivateKey } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import type { Server } from 'node:https'
import { hostname, networkInterfaces } from 'node:os'
import { join } from 'node:path'
import fp from 'fastify-plugin'
import type { FastifyInstance } from 'fastify'
import type { SoakpOptions } from '../services/options.ts'
import type { TlsConfiguration } from '../services/configuration.ts'
import { SoakpError } from '../services/errors.ts'
import { writeDurably } from '../services/files.ts'
import { describeError } from '../services/log-fields.ts'
import type { LocalAuthority } from '../services/local-authority.ts'

/** The file of the local authority's certificate in the data folder. */
export const LOCAL_AUTHORITY_FILE = 'local-authority.pem'

const DAY_MS = 86_400_000

interface Material {
  readonly cert: string
  readonly key: string
  /** When it should be made anew; undefined when that is not ours to do. */
  readonly renewAt?: number
}

/** Gives the HTTPS server its certificate before it listens, and renews one of the local authority. */
async function tls(app: FastifyInstance, { configuration }: SoakpOptions): Promise<void> {
  const { server } = app
  const { tls: settings } = configuration
  if (settings.mode === 'off') return
  const httpsServer = server as unknown as Server

  const load = () =>
    settings.mode === 'files' ? loadFiles(settings) : issueLocal(app, configuration.dataDir, configuration.host)
  let material: Material | undefined

  async function apply(): Promise<void> {
    material = await load()
    httpsServer.setSecureContext({ cert: material.cert, key: material.key, minVersion: 'TLSv1.2' })
  }

  const timer = setInterval(() => {
    if (material?.renewAt === undefined || Date.now() < material.renewAt) return
    apply().catch((error: unknown) => app.log.error({ error: describeError(error) }, 'local certificate not renewed'))
  }, DAY_MS).unref()

  app.addHook('onReady', apply)
  app.addHook('onClose', async () => clearInterval(timer))
}

/** Issues a certificate of the local authority for this machine's names, making the authority on a first start. */
async function issueLocal(app: FastifyInstance, dataDir: string, host: string): Promise<Material> {
  // Loading the X.509 library takes 60 ms, which other modes need not pay.
  const { createLocalAuthority, issueLocalCertificate, permittedNames } = await import('../services/local-authority.ts')
  const now = new Date()
  const { value } = await app.unsealed.secrets.findOrMake<LocalAuthority>('local-authority', () =>
    createLocalAuthority(now),
  )
  await writeDurably(join(dataDir, LOCAL_AUTHORITY_FILE), value.certificatePem, 0o644)
  const { certificatePem, privateKeyPem, notAfter } = await issueLocalCertificate(
    value,
    permittedNames(value, namesOf(host)),
    now,
  )
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

async function loadFiles({ certificateFile, keyFile }: TlsConfiguration & { mode: 'files' }): Promise<Material> {
  const cert = await readPem(certificateFile, 'SOAKP_TLS_CERT_FILE')
  const key = await readPem(keyFile, 'SOAKP_TLS_KEY_FILE')
  let isPair: boolean
  try {
    isPair = new X509Certificate(cert).checkPrivateKey(createPrivateKey(key))
  } catch (cause) {
    const message = `${certificateFile} and ${keyFile} must be a certificate and its private key in PEM, without a passphrase.`
    throw new SoakpError(500, 'SOAKP_TLS_FILES', message, { cause })
  }
  if (isPair) return { cert, key }
  throw new SoakpError(
    500,
    'SOAKP_TLS_FILES',
    `The key in ${keyFile} does not belong to the certificate in ${certificateFile}.`,
  )
}

async function readPem(file: string, name: string): Promise<string> {
  try {
    return await readFile(file, 'utf8')
  } catch (cause) {
    throw new SoakpError(500, 'SOAKP_TLS_FILES', `${name} names ${file}, which cannot be read.`, { cause })
  }
}

export default fp(tls, { name: 'tls', fastify: '5.x', dependencies: ['vault'] })
