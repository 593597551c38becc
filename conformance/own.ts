import { mkdtemp, readFile, rm } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createServer } from '../fastify.config.ts'
import { readConfiguration } from '../services/configuration.ts'
import { doorOf } from './door.ts'
import type { Door } from './door.ts'

/** A SOAKP that was started for the suite. */
export interface OwnSoakp {
  readonly door: Door
  readonly close: () => Promise<void>
}

/** Starts a SOAKP before the suite's upstream. */
export async function startOwnSoakp(upstream: string, mode: 'off' | 'local'): Promise<OwnSoakp> {
  const dataDir = await mkdtemp(join(tmpdir(), 'soakp-conformance-'))
  const admin = 'soakp_admin_of-the-suite-5b1c7e'
  const { configuration } = readConfiguration(
    {
      SOAKP_DATA_DIR: dataDir,
      SOAKP_PORT: '0',
      SOAKP_TLS: mode,
      SOAKP_ADMIN_TOKEN: admin,
      SOAKP_UPSTREAM: upstream,
      SOAKP_LOG_LEVEL: 'silent',
      SOAKP_DRAIN_SECONDS: '0',
      SOAKP_TOKEN_REQUESTS_PER_MINUTE: '1000000',
      SOAKP_TOKEN_REQUESTS_PER_DAY: '1000000',
      SOAKP_ADDRESS_REQUESTS_PER_MINUTE: '1000000',
    },
    dataDir,
  )
  const app = await createServer({ configuration })
  await app.claimDataFolder()
  await app.listen({ host: configuration.host, port: configuration.port })
  const saved = await app.inject({
    method: 'POST',
    url: '/soakp/keys',
    headers: { authorization: `Bearer ${admin}` },
    payload: { key: 'sk-proj-conformance-0123456789abcdef' },
  })
  const { token } = saved.json<{ token: { token: string } }>()
  const { port } = app.server.address() as AddressInfo
  const authority = mode === 'local' ? await readFile(join(dataDir, 'local-authority.pem'), 'utf8') : undefined
  const baseUrl = `${mode === 'local' ? 'https' : 'http'}://localhost:${port}/v1`
  return {
    door: doorOf(baseUrl, token.token, authority),
    async close() {
      await app.close()
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}
