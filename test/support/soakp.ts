import { readFile, mkdtemp, rm } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import OpenAI from 'openai'
import type { FastifyInstance } from 'fastify'
import type { Test } from 'tap'
import { Agent, fetch } from 'undici'
import { createServer } from '../../fastify.config.ts'
import { startPracticeUpstream } from '../../practice/upstream.ts'
import type { PracticeUpstream } from '../../practice/upstream.ts'
import { readConfiguration } from '../../services/configuration.ts'
import type { Environment } from '../../services/environment.ts'
import type { LimitsConfiguration } from '../../services/limits-configuration.ts'

/** The admin credential of SOAKPs that tests start. */
export const ADMIN = 'soakp_admin_of-the-tests-2f8c1d'

/** An answer with its JSON body. */
export interface JsonAnswer {
  readonly status: number
  readonly headers: Headers
  // Tests read answers of many shapes; what they assert is what they rely on.
  // oxlint-disable-next-line typescript/no-explicit-any -- see above
  readonly body: any
}

/** A SOAKP that listens on a free port, in this process, with a practice upstream behind it. */
export interface TestSoakp {
  readonly app: FastifyInstance
  readonly upstream: PracticeUpstream
  readonly dataDir: string
  readonly port: number
  /** `https://localhost:PORT` */
  readonly address: string
  /** PEM of the local authority; undefined with `SOAKP_TLS=off`. */
  readonly authority: string | undefined
  /** A dispatcher for undici's `fetch` that trusts the local authority. */
  readonly trusting: Agent
  /** Calls a management route as the admin. */
  manage(method: string, path: string, body?: unknown): Promise<JsonAnswer>
  /** Calls any path with any headers; a body that is an object is sent as JSON. */
  call(
    method: string,
    path: string,
    options?: { headers?: Record<string, string>; body?: unknown },
  ): Promise<JsonAnswer>
  /** Saves the practice upstream's key and returns its id and first token. */
  saveKey(extra?: Record<string, unknown>): Promise<{ id: string; token: string; tokenId: string }>
  /** Mints a token and returns its id and JWT. */
  mint(keyId: string, extra?: Record<string, unknown>): Promise<{ id: string; token: string }>
  /** The official SDK, aimed at this SOAKP. */
  openai(token: string, options?: { baseURL?: string; maxRetries?: number }): OpenAI
}

/** Makes a folder that is removed after the test; short, because socket addresses are. */
export async function temporaryFolder(t: Test): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'soakp-'))
  t.teardown(() => rm(folder, { recursive: true, force: true }))
  return folder
}

/**
 * Starts SOAKP for a test; `environment` adds to or replaces the settings of tests. Both end with the test. `logs`
 * collects its log's lines; `limits` may be shorter than the whole seconds of settings.
 */
export async function startSoakp(
  t: Test,
  environment: Environment = {},
  { logs, limits }: { readonly logs?: string[]; readonly limits?: Partial<LimitsConfiguration> } = {},
): Promise<TestSoakp> {
  const upstream = await startPracticeUpstream()
  t.teardown(() => upstream.close())
  const dataDir = environment['SOAKP_DATA_DIR'] ?? (await temporaryFolder(t))
  const { configuration: read } = readConfiguration(
    {
      SOAKP_DATA_DIR: dataDir,
      SOAKP_PORT: '0',
      SOAKP_ADMIN_TOKEN: ADMIN,
      SOAKP_UPSTREAM: upstream.url,
      SOAKP_LOG_LEVEL: 'silent',
      SOAKP_DRAIN_SECONDS: '1',
      ...environment,
    },
    dataDir,
  )
  const configuration = { ...read, limits: { ...read.limits, ...limits } }
  const app = await createServer({
    configuration,
    ...(logs && { logStream: { write: (line) => void logs.push(line) } }),
  })
  await app.claimDataFolder()
  await app.listen({ host: configuration.host, port: configuration.port })
  t.teardown(() => app.close())
  const { port } = app.server.address() as AddressInfo
  const isPlain = configuration.tls.mode === 'off'
  const authority =
    configuration.tls.mode === 'local' ? await readFile(join(dataDir, 'local-authority.pem'), 'utf8') : undefined
  const trusting = new Agent({ connect: { ca: authority }, connections: 512 })
  t.teardown(() => trusting.destroy())
  const address = `${isPlain ? 'http' : 'https'}://localhost:${port}`

  const call: TestSoakp['call'] = async (method, path, { headers = {}, body } = {}) => {
    const answer = await fetch(address + path, {
      method,
      dispatcher: trusting,
      headers: { ...(body !== undefined && { 'content-type': 'application/json' }), ...headers },
      ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
    })
    const text = await answer.text()
    return { status: answer.status, headers: new Headers([...answer.headers]), body: parse(text) }
  }
  const manage: TestSoakp['manage'] = (method, path, body) =>
    call(method, path, { headers: { authorization: `Bearer ${ADMIN}` }, body })

  return {
    app,
    upstream,
    dataDir,
    port,
    address,
    authority,
    trusting,
    call,
    manage,

    async saveKey(extra = {}) {
      const { status, body } = await manage('POST', '/soakp/keys', { key: upstream.key, ...extra })
      if (status !== 201) throw new Error(`key not saved: ${status} ${JSON.stringify(body)}`)
      return { id: body.id, token: body.token.token, tokenId: body.token.id }
    },

    async mint(keyId, extra = {}) {
      const { status, body } = await manage('POST', '/soakp/tokens', { key_id: keyId, ...extra })
      if (status !== 201) throw new Error(`token not minted: ${status} ${JSON.stringify(body)}`)
      return { id: body.id, token: body.token }
    },

    openai: (token, { baseURL = `${address}/v1`, maxRetries = 2 } = {}) =>
      new OpenAI({
        apiKey: token,
        baseURL,
        maxRetries,
        fetch: fetch as unknown as typeof globalThis.fetch,
        fetchOptions: { dispatcher: trusting },
      }),
  }
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
