import type { IncomingMessage, ServerResponse } from 'node:http'
import { Readable } from 'node:stream'
import { Pool } from 'undici'
import type { Dispatcher } from 'undici'
import type { PracticeUpstream } from '../practice/upstream.ts'
import { cpuSeconds, residentMegabytes } from './load.ts'
import type { Target } from './load.ts'

/** What one long body cost. */
export interface TransferResult {
  readonly name: string
  readonly mebibytesPerSecond: number
  readonly cpuMillisecondsPerGibibyte: number
  /** More than before, at most. */
  readonly megabytes: number
}

const PIECE = Buffer.alloc(65_536, 'SOAKP ')
const GIBIBYTE = 1_073_741_824

/** Sends 1 GiB up and gets 1 GiB down. */
export async function measureTransfers(target: Target, upstream: PracticeUpstream): Promise<TransferResult[]> {
  upstream.handle('POST', '/v1/up', (request: IncomingMessage, response: ServerResponse) => {
    request.resume().once('end', () => response.end())
  })
  upstream.handle('GET', '/v1/down', (_request: IncomingMessage, response: ServerResponse) => {
    response.writeHead(200, { 'content-length': GIBIBYTE })
    Readable.from(pieces()).pipe(response)
  })
  const headers = { authorization: `Bearer ${target.token}` }
  const upload = {
    path: '/v1/up',
    method: 'POST',
    headers: { ...headers, 'content-length': String(GIBIBYTE) },
  } as const
  return [
    await measure('upload of 1 GiB', target, () => ({ ...upload, body: Readable.from(pieces()) })),
    await measure('download of 1 GiB', target, () => ({ path: '/v1/down', method: 'GET', headers })),
  ]
}

function* pieces(): Generator<Buffer> {
  for (let bytes = 0; bytes < GIBIBYTE; bytes += PIECE.length) yield PIECE
}

async function measure(
  name: string,
  { address, certificates, processId }: Target,
  createRequest: () => Dispatcher.RequestOptions,
): Promise<TransferResult> {
  const pool = new Pool(address, { connections: 1, connect: { ca: certificates } })
  const [cpuBefore, memoryBefore, startedAt] = [cpuSeconds(processId), residentMegabytes(processId), performance.now()]
  let most = memoryBefore
  const sampler = setInterval(() => (most = Math.max(most, residentMegabytes(processId))), 50)
  const { statusCode, body } = await pool.request(createRequest())
  for await (const _ of body);
  clearInterval(sampler)
  if (statusCode !== 200) throw new Error(`answered ${statusCode}`)
  const seconds = (performance.now() - startedAt) / 1_000
  await pool.close()
  return {
    name,
    mebibytesPerSecond: 1_024 / seconds,
    cpuMillisecondsPerGibibyte: (cpuSeconds(processId) - cpuBefore) * 1_000,
    megabytes: most - memoryBefore,
  }
}
