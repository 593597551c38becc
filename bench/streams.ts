import { Pool } from 'undici'
import { cpuSeconds, residentMegabytes } from './load.ts'
import type { Target } from './load.ts'

/** What a run of parallel streams saw. */
export interface StreamsResult {
  readonly streams: number
  readonly events: number
  readonly cpuMicrosecondsPerEvent: number
  readonly kilobytesPerStream: number
  readonly firstEventP50Ms: number
}

/** Opens `count` slow streams at once, reads each for `seconds`, then leaves. */
export async function streams(target: Target, count: number, seconds: number): Promise<StreamsResult> {
  const pool = new Pool(target.address, { connections: count, connect: { ca: target.certificates } })
  const body = JSON.stringify({ model: 'practice-slow', stream: true, messages: [{ role: 'user', content: 'go' }] })
  const headers = { authorization: `Bearer ${target.token}`, 'content-type': 'application/json' }
  const firstMs: number[] = []
  let events = 0
  let peak = 0
  const memoryBefore = residentMegabytes(target.processId)
  const cpuBefore = cpuSeconds(target.processId)

  async function one(): Promise<void> {
    const startedAt = performance.now()
    const signal = AbortSignal.timeout(seconds * 1_000)
    try {
      const answer = await pool.request({ path: '/v1/chat/completions', method: 'POST', headers, body, signal })
      let isFirst = true
      for await (const chunk of answer.body) {
        if (isFirst) firstMs.push(performance.now() - startedAt)
        isFirst = false
        events += String(chunk).split('\n\n').length - 1
      }
    } catch (error) {
      if (!signal.aborted) throw error
    }
  }

  const sampler = setInterval(() => (peak = Math.max(peak, residentMegabytes(target.processId))), 100)
  await Promise.all(Array.from({ length: count }, one))
  clearInterval(sampler)
  const cpu = cpuSeconds(target.processId) - cpuBefore
  await pool.destroy()
  firstMs.sort((a, b) => a - b)
  return {
    streams: count,
    events,
    cpuMicrosecondsPerEvent: (cpu / events) * 1e6,
    kilobytesPerStream: ((peak - memoryBefore) * 1_024) / count,
    firstEventP50Ms: firstMs[Math.floor(firstMs.length / 2)] ?? 0,
  }
}
