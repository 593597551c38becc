import { X509Certificate } from 'node:crypto'
import type { Test } from 'tap'
import { createWorld } from './certificate-world.ts'
import type { World } from './certificate-world.ts'

const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const START = Date.UTC(2026, 10, 25)

/** How certificates live over the years. */
export interface Course {
  readonly name: string
  /** How long one lives that is issued at a time. */
  readonly lifetime: (now: number) => number
  /** By how much the authority's clock is ahead of ours. */
  readonly offset?: number
  readonly hasWindow?: boolean
  /** Which part of a lifetime must be left when the next one comes, at least and at most. */
  readonly rest: readonly [number, number]
}

const LATE = [1 / 3, 0.38] as const

/** What Let's Encrypt has announced (https://letsencrypt.org/2025/12/02/from-90-to-45), and what else there is. */
export const courses: readonly Course[] = [
  {
    name: 'of the announced lifetimes',
    lifetime: (now) => (now < Date.UTC(2027, 1, 10) ? 90 : now < Date.UTC(2028, 1, 16) ? 64 : 45) * DAY_MS,
    rest: LATE,
  },
  { name: 'of 160 hours', lifetime: () => 160 * HOUR_MS, rest: [0.49, 0.55] },
  { name: 'of 45 days with a clock a day behind', lifetime: () => 45 * DAY_MS, offset: DAY_MS, rest: LATE },
  { name: 'of 64 days with a clock a day ahead', lifetime: () => 64 * DAY_MS, offset: -DAY_MS, rest: LATE },
  { name: 'of 90 days with windows', lifetime: () => 90 * DAY_MS, hasWindow: true, rest: [0.3, 0.34] },
]

/** Lets certificates live until a time and asserts that each was renewed in its time. */
export async function live(t: Test, { lifetime, offset, hasWindow, rest }: Course, until: number): Promise<void> {
  const world = createWorld(START - (offset ?? 0))
  const { clock, main, engine, events } = world
  main.clockOffsetMs = offset
  if (hasWindow === true) main.window = (id) => windowOf(world, id)
  const rests: number[] = []
  let last: X509Certificate | undefined
  const certificates = engine()
  certificates.start(async ({ cert }) => {
    if (last !== undefined) rests.push(restOf(last, clock.now() + (offset ?? 0)))
    last = new X509Certificate(cert)
  })
  while (clock.now() < until) {
    main.lifetimeMs = lifetime(clock.now())
    await clock.advance(10 * DAY_MS)
  }
  const [least, most] = rest
  t.ok(Math.min(...rests) >= least, `at least ${Math.min(...rests).toFixed(3)} was left`)
  t.ok(Math.max(...rests) <= most, `at most ${Math.max(...rests).toFixed(3)} was left`)
  t.ok(rests.length >= 2)
  t.equal(main.orders.length, rests.length + 1)
  t.same(
    events.filter(({ kind }) => kind === 'attempt-failed'),
    [],
  )
  await certificates.close()
}

/** The part of a certificate's lifetime that is left. */
export function restOf({ validFromDate, validToDate }: X509Certificate, now: number): number {
  const end = validToDate.getTime()
  return (end - now) / (end - validFromDate.getTime())
}

function windowOf({ main }: World, id: string) {
  const serial = Buffer.from(id.split('.')[1] ?? '', 'base64url').toString('hex')
  const pem = main.orders.findLast(({ certificate }) => certificate !== undefined)?.certificate ?? ''
  const leaf = new X509Certificate(pem)
  if (Number.parseInt(leaf.serialNumber, 16) !== Number.parseInt(serial, 16)) return undefined
  const start = leaf.validFromDate.getTime() + 60 * DAY_MS
  return { start, end: start + 2 * DAY_MS, explanationUrl: undefined, retryAfterMs: 6 * HOUR_MS }
}
