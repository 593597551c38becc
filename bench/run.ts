import { fork, spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { Agent, fetch } from 'undici'
import { startPracticeUpstream } from '../practice/upstream.ts'
import { measureBlocks } from './blocks.ts'
import { measureLeaving, measureRevocation } from './endings.ts'
import type { EndingResult } from './endings.ts'
import { load } from './load.ts'
import type { LoadResult, Target } from './load.ts'
import { streams } from './streams.ts'
import { measureTransfers } from './transfers.ts'

/**
 * Measures SOAKP in a process of its own before the practice upstream in another. The load is made in this process, so
 * requests a second are bounded by it; CPU time per request is SOAKP's own and is the figure to watch.
 */
async function main(): Promise<void> {
  console.log(`${process.version}, ${cpus().length} x ${cpus()[0]?.model}\n`)
  for (const { name, microseconds } of await measureBlocks()) row(name, `${microseconds.toFixed(2)} us`)

  const upstream = fork(path('./upstream.ts'))
  const [{ url, key }] = (await once(upstream, 'message')) as [{ url: string; key: string }]
  const direct = { address: new URL(url).origin, token: key, certificates: undefined, processId: upstream.pid ?? 0 }
  await load(direct, 16, 2_000)
  show('practice upstream itself, 1 connection', await load(direct, 1, 2_000))
  for (const tls of ['off', 'local']) await measureServer(tls, url, key)
  upstream.disconnect()
}

async function measureServer(tls: string, upstream: string, key: string): Promise<void> {
  const dataDir = await mkdtemp(join(tmpdir(), 'soakp-bench-'))
  const startedAt = performance.now()
  const server = spawn(process.execPath, [path('../bin/soakp.js'), 'serve'], {
    env: { ...process.env, ...SETTINGS, SOAKP_DATA_DIR: dataDir, SOAKP_TLS: tls, SOAKP_UPSTREAM: upstream },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  try {
    const address = await addressOf(server)
    const certificates = tls === 'off' ? undefined : await readFile(join(dataDir, 'local-authority.pem'), 'utf8')
    console.log()
    row(`SOAKP_TLS=${tls}: from start to listening`, `${(performance.now() - startedAt).toFixed(0)} ms`)
    const token = await saveKey(address, certificates, key)
    const target: Target = { address, token, certificates, processId: server.pid ?? 0 }
    await load(target, 16, 2_000)
    show('1 connection', await load(target, 1, 2_000))
    show('64 connections', await load(target, 64, 20_000))
    await measureInProcess(target)
    const { events, ...result } = await streams(target, 500, 6)
    row(`${result.streams} streams, ${events} events`, `${result.cpuMicrosecondsPerEvent.toFixed(0)} us CPU/event`)
    row(
      '',
      `${result.kilobytesPerStream.toFixed(0)} KB/stream, first event p50 ${result.firstEventP50Ms.toFixed(0)} ms`,
    )
  } finally {
    server.kill('SIGTERM')
    await once(server, 'exit')
    await rm(dataDir, { recursive: true, force: true })
  }
}

/** With a practice upstream in this process, which knows when its calls have ended. */
async function measureInProcess({ address, certificates, processId }: Target): Promise<void> {
  const upstream = await startPracticeUpstream()
  const manage = (method: string, route: string, body?: object) => callAdmin(address, certificates, method, route, body)
  const saved = await manage('POST', '/soakp/keys', { key: upstream.key, base_url: upstream.url })
  const { id, token } = saved as SavedKey
  const target = { address, certificates, keyId: id, upstream, manage }
  const revocation = await measureRevocation(target, 50)
  row('revocation to the end of a stream on both sides', endings(revocation))
  row('client gone to the end of the upstream call', endings(await measureLeaving(target, 50)))
  for (const each of await measureTransfers({ address, token: token.token, certificates, processId }, upstream)) {
    row(each.name, `${each.mebibytesPerSecond.toFixed(0)} MiB/s, ${each.megabytes.toFixed(0)} MB more memory`)
    row('', `${each.cpuMillisecondsPerGibibyte.toFixed(0)} ms CPU/GiB`)
  }
  await upstream.close()
}

function endings({ medianMs, longestMs }: EndingResult): string {
  return `median ${medianMs.toFixed(1)} ms, longest of 50 ${longestMs.toFixed(1)} ms`
}

const ADMIN = 'soakp_admin_of-the-bench-9d41'
const SETTINGS = {
  SOAKP_PORT: '0',
  SOAKP_ADMIN_TOKEN: ADMIN,
  SOAKP_TOKEN_REQUESTS_PER_MINUTE: '1000000',
  SOAKP_TOKEN_REQUESTS_PER_DAY: '1000000',
  SOAKP_TOKEN_PARALLEL_REQUESTS: '10000',
  SOAKP_ADDRESS_REQUESTS_PER_MINUTE: '1000000',
  SOAKP_DRAIN_SECONDS: '1',
}

async function addressOf(server: ChildProcess): Promise<string> {
  let text = ''
  const { promise, resolve } = Promise.withResolvers<string>()
  server.stdout?.on('data', (chunk: Buffer) => {
    if (text.length < 10_000) text += chunk.toString()
    const address = /Address +(https?:\/\/\S+)/.exec(text)?.[1]
    if (address !== undefined) resolve(address)
  })
  return promise
}

async function saveKey(address: string, certificates: string | undefined, key: string): Promise<string> {
  const { token } = (await callAdmin(address, certificates, 'POST', '/soakp/keys', { key })) as SavedKey
  return token.token
}

interface SavedKey {
  readonly id: string
  readonly token: { readonly token: string }
}

async function callAdmin(
  address: string,
  certificates: string | undefined,
  method: string,
  route: string,
  body?: object,
): Promise<unknown> {
  const answer = await fetch(address + route, {
    method,
    dispatcher: new Agent({ connect: { ca: certificates } }),
    headers: { authorization: `Bearer ${ADMIN}`, ...(body && { 'content-type': 'application/json' }) },
    ...(body && { body: JSON.stringify(body) }),
  })
  return answer.json()
}

function show(name: string, result: LoadResult): void {
  const { requestsPerSecond, p50Ms, p99Ms, cpuMicrosecondsPerRequest, residentMegabytes } = result
  row(name, `${requestsPerSecond.toFixed(0)} requests/s, p50 ${p50Ms.toFixed(2)} ms, p99 ${p99Ms.toFixed(2)} ms`)
  row('', `${cpuMicrosecondsPerRequest.toFixed(0)} us CPU/request, ${residentMegabytes.toFixed(0)} MB resident`)
}

function row(name: string, value: string): void {
  console.log(`  ${name.padEnd(52)} ${value}`)
}

function path(relative: string): string {
  return fileURLToPath(new URL(relative, import.meta.url))
}

await main()
