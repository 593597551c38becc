import { join } from 'node:path'
import fp from 'fastify-plugin'
import type { FastifyInstance } from 'fastify'
import type { Dispatcher } from 'undici'
import { createAdmin } from '../services/admin.ts'
import type { Admin } from '../services/admin.ts'
import { createCipher } from '../services/cipher.ts'
import { createDailyCounts } from '../services/daily-counts.ts'
import { createDnsCredentials } from '../services/dns-credentials.ts'
import type { DnsCredentials } from '../services/dns-credentials.ts'
import type { ConnectOptions } from '../services/dispatcher.ts'
import type { DailyCounts } from '../services/daily-counts.ts'
import { createConnectOptions, createDispatcher } from '../services/dispatcher.ts'
import { prepareDataDir } from '../services/files.ts'
import { checkKey } from '../services/key-check.ts'
import type { KeyCheck } from '../services/key-check.ts'
import { createKeyRing } from '../services/key-ring.ts'
import { createLiveCalls } from '../services/live-calls.ts'
import type { LiveCalls } from '../services/live-calls.ts'
import { createOwnSecrets } from '../services/own-secrets.ts'
import type { OwnSecrets } from '../services/own-secrets.ts'
import { describeError } from '../services/log-fields.ts'
import { openSeal } from '../services/seal.ts'
import type { Secret } from '../services/secret.ts'
import { openStore } from '../services/stores/index.ts'
import type { Store } from '../services/stores/index.ts'
import { createUpstreamPlaces } from '../services/upstream-places.ts'
import type { UpstreamPlaces } from '../services/upstream-places.ts'
import { createVault } from '../services/vault.ts'
import type { Vault } from '../services/vault.ts'
import type { SoakpOptions } from '../services/options.ts'
import { SEAL_FILE } from '../services/data-files.ts'

/** What an unsealed SOAKP holds. */
export interface Unsealed {
  /** Names this instance as the issuer of its tokens. */
  readonly instance: string
  readonly store: Store
  readonly secrets: OwnSecrets
  readonly vault: Vault
  readonly dnsCredentials: DnsCredentials
  readonly admin: Admin
  /** The admin credential, if this start made it. */
  readonly newAdminCredential: Secret | undefined
  readonly dispatcher: Dispatcher
  readonly places: UpstreamPlaces
  /** How to connect to an upstream's origin otherwise than by the dispatcher. */
  readonly connectTo: (origin: string) => ConnectOptions
  /** Asks a key's upstream whether it takes the key. */
  readonly checkKey: (key: Awaited<ReturnType<Vault['openById']>>) => Promise<KeyCheck>
  readonly liveCalls: LiveCalls
  readonly dailyCounts: DailyCounts
  /** Unix seconds. */
  readonly now: () => number
}

const DAY_MS = 86_400_000

/** An expired token can still be looked up for this long. */
const KEPT_SECONDS = 30 * 86_400

/** Unseals the vault, opens the store and closes it after the last request. */
async function unseal(app: FastifyInstance, { configuration }: SoakpOptions): Promise<void> {
  const { dataDir, databaseFile } = configuration
  const now = () => Math.floor(Date.now() / 1000)
  await prepareDataDir(dataDir)
  const { root, instance } = await openSeal(join(dataDir, SEAL_FILE), databaseFile, configuration.unseal)
  const keyRing = createKeyRing(root, instance)
  const store = await openStore('sqlite', { file: databaseFile, key: keyRing.databaseKey() })
  const cipher = createCipher(keyRing, instance)
  const secrets = createOwnSecrets(store, cipher)
  const admin = createAdmin(secrets, configuration.adminUser, configuration.adminToken)
  const { upstream, privateUpstreams } = configuration
  const upstreams = { ...configuration, certificates: configuration.upstreamCertificates }
  const dispatcher = createDispatcher(upstreams)
  const dailyCounts = createDailyCounts(store, now)

  app.decorate('unsealed', {
    instance,
    store,
    secrets,
    vault: createVault({ store, cipher, upstream, privateUpstreams, now }),
    dnsCredentials: createDnsCredentials(secrets, configuration.acme?.dns.credentials ?? {}),
    admin,
    newAdminCredential: await admin.prepare(),
    dispatcher,
    places: createUpstreamPlaces({
      most: configuration.upstreamConnections,
      queue: configuration.limits.upstreamQueue,
      queueMs: configuration.limits.upstreamQueueMs,
    }),
    connectTo: createConnectOptions(upstreams),
    checkKey: (key) => checkKey(dispatcher, key),
    liveCalls: createLiveCalls(),
    dailyCounts,
    now,
  })

  const flush = () =>
    dailyCounts.flush().catch((error: unknown) => app.log.error({ error: describeError(error) }, 'counts not written'))
  const prune = () =>
    store
      .pruneTokens(now() - KEPT_SECONDS)
      .catch((error: unknown) => app.log.error({ error: describeError(error) }, 'expired tokens not forgotten'))
  const timer = setInterval(() => void flush(), 1_000).unref()
  const daily = setInterval(() => void prune(), DAY_MS).unref()
  app.addHook('onReady', prune)
  app.addHook('onClose', async () => {
    clearInterval(timer)
    clearInterval(daily)
    await dispatcher.destroy()
    await flush()
    await store.close()
  })
}

export default fp(unseal, { name: 'vault', fastify: '5.x' })

declare module 'fastify' {
  interface FastifyInstance {
    readonly unsealed: Unsealed
  }
}
