import { Pool } from 'undici'
import type { PracticeUpstream } from '../practice/upstream.ts'

/** How long it takes until a stream has ended on both sides, in milliseconds, over some rounds. */
export interface EndingResult {
  readonly medianMs: number
  readonly longestMs: number
}

/** Ways to make calls to one SOAKP. `manage` calls a route as the admin and returns its JSON. */
export interface EndingTarget {
  readonly address: string
  readonly certificates: string | undefined
  readonly keyId: string
  readonly upstream: PracticeUpstream
  readonly manage: (method: string, path: string, body?: object) => Promise<unknown>
}

const BODY = JSON.stringify({ model: 'practice-slow', stream: true, messages: [{ role: 'user', content: 'go' }] })

/** Measures from the revocation's request to the end of a running stream, at the client and at the upstream. */
export async function measureRevocation(target: EndingTarget, rounds: number): Promise<EndingResult> {
  return repeat(rounds, async () => {
    const { id, stream, upstreamEnded } = await openStream(target)
    const startedAt = performance.now()
    const revoked = target.manage('DELETE', `/soakp/tokens/${id}`)
    await Promise.all([stream.done, upstreamEnded, revoked])
    return performance.now() - startedAt
  })
}

/** Measures from the moment that a client leaves a stream to the end of the upstream's call. */
export async function measureLeaving(target: EndingTarget, rounds: number): Promise<EndingResult> {
  return repeat(rounds, async () => {
    const { stream, upstreamEnded } = await openStream(target)
    const startedAt = performance.now()
    stream.leave()
    await upstreamEnded
    return performance.now() - startedAt
  })
}

async function openStream({ address, certificates, keyId, manage, upstream }: EndingTarget) {
  const { id, token } = (await manage('POST', '/soakp/tokens', { key_id: keyId })) as { id: string; token: string }
  const pool = new Pool(address, { connect: { ca: certificates } })
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
  upstream.clear()
  const { body } = await pool.request({ path: '/v1/chat/completions', method: 'POST', headers, body: BODY })
  const done = new Promise<void>((resolve) => {
    body.on('error', () => resolve())
    body.on('close', () => resolve())
  })
  await new Promise((resolve) => body.once('data', resolve))
  const upstreamEnded = upstream.requests[0]?.ended
  const stream = {
    done: done.then(() => pool.destroy()),
    leave: () => void body.destroy(),
  }
  return { id, stream, upstreamEnded }
}

async function repeat(rounds: number, measure: () => Promise<number>): Promise<EndingResult> {
  const timesMs: number[] = []
  for (let round = 0; round < rounds; round += 1) timesMs.push(await measure())
  timesMs.sort((a, b) => a - b)
  return { medianMs: timesMs[Math.floor(rounds / 2)] ?? 0, longestMs: timesMs.at(-1) ?? 0 }
}
