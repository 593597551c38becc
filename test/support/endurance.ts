import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { EventEmitter } from 'node:events'
import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { connect, constants } from 'node:http2'
import type { ClientHttp2Session } from 'node:http2'
import { request as requestPlainly } from 'node:http'
import { request as requestSecurely } from 'node:https'
import { join } from 'node:path'
import type { Readable, Writable } from 'node:stream'
import type { Test } from 'tap'
import { Agent, fetch } from 'undici'
import { startPracticeUpstream } from '../../practice/upstream.ts'
import type { PracticeUpstream } from '../../practice/upstream.ts'
import { startServer } from './process.ts'
import type { ServerProcess } from './process.ts'

/** 1 MiB. */
export const MIB = 1_048_576

/** A SOAKP in a process of its own before a practice upstream in this one. */
export interface EnduranceWorld {
  readonly server: ServerProcess
  readonly upstream: PracticeUpstream
  readonly token: string
  /** PEM of the local authority; undefined with `SOAKP_TLS=off`. */
  readonly ca: string | undefined
}

/** Says, when it is told to, what keeps the process, timers too, and how much memory is left once all garbage is gone. */
const TELLS = `process.on('SIGUSR2', () => {
  gc()
  const { heapUsed, external } = process.memoryUsage()
  const kept = process.getActiveResourcesInfo().toSorted()
  process.stdout.write('holds ' + JSON.stringify({ kept, bytes: heapUsed + external }) + '\\n')
})`

/** Starts SOAKP, with a token that may call often. `tls` is `SOAKP_TLS`; one that tells can be asked by `holdingsOf`. */
export async function startEndurance(t: Test, tls: 'local' | 'off', tells = false): Promise<EnduranceWorld> {
  const upstream = await startPracticeUpstream()
  t.teardown(() => upstream.close())
  const telling = ['--expose-gc', '--import', `data:text/javascript,${encodeURIComponent(TELLS)}`]
  const command = [process.execPath, ...(tells ? telling : []), 'bin/soakp.js', 'serve']
  const server = await startServer(
    t,
    {
      SOAKP_TLS: tls,
      SOAKP_UPSTREAM: upstream.url,
      SOAKP_LOG_LEVEL: 'warn',
      SOAKP_TOKEN_REQUESTS_PER_MINUTE: '1000000',
      SOAKP_TOKEN_REQUESTS_PER_DAY: '1000000',
    },
    { command },
  )
  const ca = tls === 'off' ? undefined : await readFile(join(server.dataDir, 'local-authority.pem'), 'utf8')
  const dispatcher = new Agent({ connect: { ca } })
  const saved = await fetch(`${server.address}/soakp/keys`, {
    method: 'POST',
    dispatcher,
    headers: { authorization: `Bearer ${server.admin}`, 'content-type': 'application/json' },
    body: JSON.stringify({ key: upstream.key }),
  })
  const { token } = ((await saved.json()) as { token: { token: string } }).token
  await dispatcher.destroy()
  return { server, upstream, token, ca }
}

/** A request that is under way. */
export interface RunningRequest {
  readonly body: Writable
  /** Resolves with the answer's body once its head has come. */
  readonly answer: () => Promise<Readable>
  /** Breaks it off: the connection with HTTP/1.1, the stream with HTTP/2. */
  readonly leave: () => void
}

/** Begins a request; without a length it has no body. */
export type Client = (method: string, path: string, bodyBytes?: number) => RunningRequest

/** Creates a client of HTTP/1.1 with a connection for each request. */
export function createHttp1Client({ server, token, ca }: EnduranceWorld): Client {
  return (method, path, bodyBytes) => {
    const length = bodyBytes === undefined ? {} : { 'content-length': bodyBytes }
    const headers = { authorization: `Bearer ${token}`, ...length }
    const begin = ca === undefined ? requestPlainly : requestSecurely
    const request = begin(server.address + path, { method, agent: false, ca, headers })
    request.on('error', () => undefined)
    if (bodyBytes === undefined) request.end()
    const response = once(request, 'response').then(([answer]) => (answer as Readable).on('error', () => undefined))
    response.catch(() => undefined)
    return { body: request, answer: () => response, leave: () => void request.destroy() }
  }
}

/** So many streams a session: nghttp2 ends one in which much comes for streams that were reset. */
const STREAMS_OF_SESSION = 50

/** Creates a client of HTTP/2 with a stream for each request. */
export function createHttp2Client(t: Test, { server, token, ca }: EnduranceWorld): Client {
  const options = { ca, settings: { initialWindowSize: 4 * MIB } }
  let session: ClientHttp2Session | undefined
  let streams = 0
  t.teardown(() => session?.destroy())
  return (method, path, bodyBytes) => {
    if (streams % STREAMS_OF_SESSION === 0) {
      session?.close()
      session = connect(server.address, options)
      session.on('connect', (it) => it.setLocalWindowSize(8 * MIB))
    }
    streams += 1
    const length = bodyBytes === undefined ? {} : { 'content-length': bodyBytes }
    const headers = { ':method': method, ':path': path, authorization: `Bearer ${token}`, ...length }
    const stream = (session ?? connect(server.address, options)).request(headers, {
      endStream: bodyBytes === undefined,
    })
    stream.on('error', () => undefined)
    const response = once(stream, 'response').then(() => stream)
    response.catch(() => undefined)
    return { body: stream, answer: () => response, leave: () => stream.close(constants.NGHTTP2_CANCEL) }
  }
}

const PIECE_BYTES = 65_536
const source = randomBytes(MIB + PIECE_BYTES)

/** Gives pieces of which none is like its neighbours; the whole is the same each time. */
export function* pieces(bytes: number): Generator<Buffer> {
  for (let at = 0; at < bytes; at += PIECE_BYTES) {
    const offset = ((at / PIECE_BYTES) * 4_099) % MIB
    yield source.subarray(offset, offset + Math.min(PIECE_BYTES, bytes - at))
  }
}

/** Watches the resident memory of a process; returns what tells its highest growth since, in MiB. */
export function watchMemory(pid: number): () => number {
  // The peak begins anew (proc(5), clear_refs).
  writeFileSync(`/proc/${pid}/clear_refs`, '5')
  const before = residentMib(pid, 'VmRSS')
  return () => residentMib(pid, 'VmHWM') - before
}

function residentMib(pid: number, field: string): number {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  return Number(new RegExp(`^${field}:\\s*(\\d+) kB`, 'm').exec(status)?.[1]) / 1_024
}

/** Counts the open files and sockets of a process. */
export function countDescriptors(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length
}

/** What a process holds when it has nothing to do. */
export interface Holdings {
  /** The names of handles, requests and timers. */
  readonly kept: readonly string[]
  readonly bytes: number
}

/** Asks a process of `startEndurance` what it holds. */
export async function holdingsOf(server: ServerProcess): Promise<Holdings> {
  const { promise, resolve } = Promise.withResolvers<string>()
  const stop = server.onLine((line) => line.startsWith('holds ') && resolve(line.slice(6)))
  server.kill('SIGUSR2')
  const holdings = JSON.parse(await promise) as Holdings
  stop()
  return holdings
}

/** When something has ended, on the clock of `performance.now()`. */
export async function endOf(emitter: EventEmitter): Promise<number> {
  await once(emitter, 'close')
  return performance.now()
}
