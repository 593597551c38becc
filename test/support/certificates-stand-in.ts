import type { AddressInfo } from 'node:net'
import type { Server } from 'node:tls'
import type { Test } from 'tap'
import { createServer } from '../../fastify.config.ts'
import type { CertificatesOptions } from '../../plugins/certificates.ts'
import { startPracticeUpstream } from '../../practice/upstream.ts'
import type { CertificatePair } from '../../services/certificate-pair.ts'
import type { Certificates, CertificateStatus } from '../../services/certificates/index.ts'
import { readConfiguration } from '../../services/configuration.ts'
import { ADMIN, temporaryFolder } from './soakp.ts'
import { eventually } from './wire.ts'

const STATUS: CertificateStatus = {
  names: ['ai.soakp.test'],
  serving: 'none',
  state: 'missing',
  certificate: null,
  next_renewal: null,
  running: null,
  holds: [],
  last_error: null,
  timeline: [],
}

/** Stands in for what gets certificates, so that a test says itself what comes when. */
export interface CertificatesStandIn extends Certificates {
  /** What `start` was given: takes a pair into service. Rejects before it was started. */
  readonly use: (pair: CertificatePair) => Promise<void>
  readonly isStarted: () => boolean
  readonly closings: () => number
  /** Sets what `status` says. */
  readonly tell: (status: Partial<CertificateStatus>) => void
}

/** Creates a stand-in; `current` is what is stored. */
export function createStandIn(current: () => Promise<CertificatePair | undefined>): CertificatesStandIn {
  let use: ((pair: CertificatePair) => Promise<void>) | undefined
  let shown = STATUS
  let closings = 0
  const status = async () => shown
  return {
    status,
    renew: status,
    revoke: status,
    changeAccountKeys: status,
    start: (given) => void (use = given),
    figures: () => ({ attempts: { succeeded: 0, failed: 0 }, phases: {}, serverLag: [], problems: {} }),
    close: async () => void (closings += 1),

    async begin(take) {
      const pair = await current()
      if (pair !== undefined) take(pair)
      return pair !== undefined
    },

    async use(pair) {
      if (use === undefined) throw new Error('not started')
      await use(pair)
    },

    isStarted: () => use !== undefined,
    closings: () => closings,
    tell: (change) => void (shown = { ...shown, ...change }),
  }
}

/** Options of a SOAKP with a stand-in. */
export interface StandInOptions {
  readonly certificates?: CertificatesStandIn
  readonly dataDir?: string
}

/** Creates a SOAKP of `ai.soakp.test` whose certificates come from a stand-in; it does not listen yet. */
export async function createWithStandIn(t: Test, options: StandInOptions = {}) {
  const upstream = await startPracticeUpstream({ recordLimit: 0 })
  t.teardown(() => upstream.close())
  const { certificates = createStandIn(async () => undefined), dataDir = await temporaryFolder(t) } = options
  const { configuration } = readConfiguration(
    {
      SOAKP_DATA_DIR: dataDir,
      SOAKP_HOST: '127.0.0.1',
      SOAKP_PORT: '0',
      SOAKP_ADMIN_TOKEN: ADMIN,
      SOAKP_UPSTREAM: upstream.url,
      SOAKP_LOG_LEVEL: 'warn',
      SOAKP_DRAIN_SECONDS: '1',
      SOAKP_TOKEN_REQUESTS_PER_MINUTE: '1000000',
      SOAKP_TOKEN_REQUESTS_PER_DAY: '100000000',
      SOAKP_DOMAIN: 'ai.soakp.test',
      SOAKP_ACME_DIRECTORY: 'https://127.0.0.1:9/directory',
      SOAKP_DNS: 'exec',
    },
    dataDir,
  )
  const logs: string[] = []
  const logStream = { write: (line: string) => void logs.push(line) }
  const given: CertificatesOptions = { configuration, certificates, logStream }
  const app = await createServer(given)
  t.teardown(() => app.close())
  const server = app.server as unknown as Server

  async function listen(): Promise<number> {
    await app.listen({ host: configuration.host, port: 0 })
    return (server.address() as AddressInfo).port
  }

  async function ready(): Promise<{ status: string; reasons?: string[] }> {
    const answer = await app.inject({ url: '/soakp/ready' })
    if (answer.statusCode !== 200) throw new Error(answer.payload)
    return answer.json()
  }

  return { app, server, upstream, dataDir, certificates, logs, listen, ready }
}

/** Starts a SOAKP of `ai.soakp.test` whose certificates come from a stand-in, and waits until that is started. */
export async function startWithStandIn(t: Test, options: StandInOptions = {}) {
  const soakp = await createWithStandIn(t, options)
  const port = await soakp.listen()
  await eventually('certificates are watched', soakp.certificates.isStarted)
  return { ...soakp, port }
}
