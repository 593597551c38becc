import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Agent, fetch } from 'undici'
import type { RequestInit } from 'undici'
import { createLeft } from './left.ts'
import { createSearch } from './search.ts'
import { TIMES } from './target.ts'
import type { Target } from './target.ts'

/** A SOAKP in processes of its own. */
export interface FuzzedSoakp extends Target {
  readonly close: () => Promise<void>
}

const ADMIN = 'soakp_admin_of-the-fuzz-3f81d07c55a1'
const MANY = '1000000000'

/** How long connections take that were ended. */
const SETTLE_MS = 300

const seconds = (milliseconds: number) => String(milliseconds / 1_000)

/** Limits would hide what lies behind them, so only times are limited. */
const SETTINGS = {
  SOAKP_PORT: '0',
  SOAKP_LOG_LEVEL: 'debug',
  SOAKP_ADMIN_TOKEN: ADMIN,
  SOAKP_TOKEN_REQUESTS_PER_MINUTE: MANY,
  SOAKP_TOKEN_REQUESTS_PER_DAY: MANY,
  SOAKP_TOKEN_PARALLEL_REQUESTS: '10000',
  SOAKP_ADDRESS_REQUESTS_PER_MINUTE: MANY,
  SOAKP_REFUSED_REQUESTS_PER_MINUTE: MANY,
  SOAKP_FAILED_LOGINS_PER_MINUTE: MANY,
  SOAKP_NETWORK_FAILED_LOGINS_PER_MINUTE: MANY,
  SOAKP_UPSTREAM_CONNECT_SECONDS: seconds(TIMES.upstreamMs),
  SOAKP_UPSTREAM_ANSWER_SECONDS: seconds(TIMES.upstreamMs),
  SOAKP_UPSTREAM_IDLE_SECONDS: seconds(TIMES.upstreamMs),
  SOAKP_HEADERS_SECONDS: seconds(TIMES.clientMs),
  SOAKP_CLIENT_IDLE_SECONDS: seconds(TIMES.clientMs),
  SOAKP_SOCKET_HEARTBEAT_SECONDS: seconds(TIMES.clientMs),
  SOAKP_DRAIN_SECONDS: '1',
}

/** Starts two SOAKPs before an upstream, one on plain HTTP and one on TLS, both with this key. */
export async function startFuzzedSoakp(upstream: string, key: string): Promise<FuzzedSoakp> {
  const secrets = [Buffer.from(key), Buffer.from(ADMIN)]
  const [plain, secure] = await Promise.all([startOne('off', upstream, secrets), startOne('local', upstream, secrets)])
  const token = await saveKey(plain.address, undefined, key)
  const secureToken = await saveKey(secure.address, secure.authority, key)
  const left = createLeft({
    'connections or files': async () => (await openFilesOf(plain.processId)) + (await openFilesOf(secure.processId)),
    calls: async () =>
      (await runningCalls(plain.address, undefined, token)) +
      (await runningCalls(secure.address, secure.authority, secureToken)),
  })
  await setTimeout(SETTLE_MS)
  await left()
  return {
    port: plain.port,
    secure: { port: secure.port, authority: secure.authority ?? '', token: secureToken },
    token,
    admin: ADMIN,
    secrets,
    ended: Promise.race([plain.ended, secure.ended]),
    hasPrintedSecret: () => plain.hasPrintedSecret() || secure.hasPrintedSecret(),
    left,
    close: async () => {
      await Promise.all([plain.close(), secure.close()])
    },
  }
}

async function startOne(tls: string, upstream: string, secrets: readonly Buffer[]) {
  const search = createSearch(secrets)
  const dataDir = await mkdtemp(join(tmpdir(), 'soakp-fuzz-'))
  const server = spawn(process.execPath, [fileURLToPath(new URL('../bin/soakp.js', import.meta.url)), 'serve'], {
    env: { PATH: process.env['PATH'], ...SETTINGS, SOAKP_DATA_DIR: dataDir, SOAKP_TLS: tls, SOAKP_UPSTREAM: upstream },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let text = ''
  let isClosing = false
  const listening = Promise.withResolvers<string>()
  for (const stream of [server.stdout, server.stderr]) {
    stream.on('data', (chunk: Buffer) => {
      search.push(chunk)
      text = (text + chunk.toString('latin1')).slice(-20_000)
      const address = /Address +(https?:\/\/\S+)/.exec(text)?.[1]
      if (address !== undefined) listening.resolve(address)
    })
  }
  const ended = once(server, 'exit').then(([code, signal]) => {
    listening.reject(new Error(`SOAKP does not start: ${text}`))
    if (isClosing) return new Promise<string>(() => undefined)
    // What ended it is told on a line of its own; the log of other calls follows.
    const why = text.split('\n').filter((line) => !/"msg":"request (?:ended|failed)"/.test(line))
    return `exit code ${code ?? signal}: ${why.join('\n').slice(-3_000)}`
  })
  const address = await listening.promise
  const authority = tls === 'off' ? undefined : await readFile(join(dataDir, 'local-authority.pem'), 'utf8')
  return {
    address,
    authority,
    port: Number(new URL(address).port),
    processId: server.pid,
    ended,
    hasPrintedSecret: search.hasFound,
    close: async () => {
      isClosing = true
      if (server.exitCode === null && server.signalCode === null) {
        server.kill('SIGTERM')
        await once(server, 'exit')
      }
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}

/** Open files and connections of a process; 0 where the system does not tell. */
async function openFilesOf(processId: number | undefined): Promise<number> {
  const names = await readdir(`/proc/${processId}/fd`).catch(() => [])
  return names.length
}

async function runningCalls(address: string, ca: string | undefined, token: string): Promise<number> {
  const answer = await call(ca, `${address}/soakp/me`, { headers: { authorization: `Bearer ${token}` } })
  const { limits, remaining } = answer as Record<'limits' | 'remaining', { parallel_requests: number }>
  return limits.parallel_requests - remaining.parallel_requests
}

async function saveKey(address: string, ca: string | undefined, key: string): Promise<string> {
  const answer = await call(ca, `${address}/soakp/keys`, {
    method: 'POST',
    headers: { authorization: `Bearer ${ADMIN}`, 'content-type': 'application/json' },
    body: JSON.stringify({ key }),
  })
  return (answer as { token: { token: string } }).token.token
}

/** Returns the JSON of an answer; its connection has ended then. */
async function call(ca: string | undefined, url: string, options: RequestInit): Promise<unknown> {
  const dispatcher = new Agent({ connect: { ca } })
  try {
    const answer = await fetch(url, { ...options, dispatcher })
    return await answer.json()
  } finally {
    await dispatcher.close()
  }
}
