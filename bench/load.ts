import { readFileSync } from 'node:fs'
import { Pool } from 'undici'

/** Where load is sent. `processId` is the process whose CPU time and memory are measured. */
export interface Target {
  readonly address: string
  readonly token: string
  readonly certificates: string | undefined
  readonly processId: number
}

/** What a load run saw. Times are of the client; CPU and memory are of the measured process. */
export interface LoadResult {
  readonly requestsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly cpuMicrosecondsPerRequest: number
  readonly residentMegabytes: number
}

const BODY = JSON.stringify({ model: 'practice-fast', messages: [{ role: 'user', content: 'x'.repeat(500) }] })
const TICKS_PER_SECOND = 100

/** Sends `count` chat completions over `connections` keep-alive connections. Any answer but 200 ends the run. */
export async function load(target: Target, connections: number, count: number): Promise<LoadResult> {
  const pool = new Pool(target.address, { connections, connect: { ca: target.certificates } })
  const headers = { authorization: `Bearer ${target.token}`, 'content-type': 'application/json' }
  const timesMs: number[] = []
  let left = count

  async function worker(): Promise<void> {
    while (left > 0) {
      left -= 1
      const startedAt = performance.now()
      const answer = await pool.request({ path: '/v1/chat/completions', method: 'POST', headers, body: BODY })
      await answer.body.dump()
      if (answer.statusCode !== 200) throw new Error(`answered ${answer.statusCode}`)
      timesMs.push(performance.now() - startedAt)
    }
  }

  const before = cpuSeconds(target.processId)
  const startedAt = performance.now()
  await Promise.all(Array.from({ length: connections }, worker))
  const seconds = (performance.now() - startedAt) / 1_000
  const cpu = cpuSeconds(target.processId) - before
  await pool.close()
  timesMs.sort((a, b) => a - b)
  return {
    requestsPerSecond: count / seconds,
    p50Ms: timesMs[Math.floor(count * 0.5)] ?? 0,
    p99Ms: timesMs[Math.floor(count * 0.99)] ?? 0,
    cpuMicrosecondsPerRequest: (cpu / count) * 1e6,
    residentMegabytes: residentMegabytes(target.processId),
  }
}

/** CPU time of a process so far, user and system (proc(5), fields 14 and 15 of `stat`). */
export function cpuSeconds(processId: number): number {
  const fields = readFileSync(`/proc/${processId}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

/** Resident memory of a process. */
export function residentMegabytes(processId: number): number {
  const pages = Number(readFileSync(`/proc/${processId}/statm`, 'utf8').split(' ')[1])
  return (pages * 4_096) / 1_048_576
}
