import { test } from 'tap'
import { startWorld, worldIsMissing } from '../support/acme-world.ts'
import { createRandom } from '../support/durability-calls.ts'
import { MOST_EVENTS, surviveInterruptions } from '../support/interruptions.ts'
import type { Interrupted } from '../support/interruptions.ts'
import { startPebble } from '../support/pebble.ts'

const skip = worldIsMissing
// Every run has moments of its own; SEED repeats one.
const seed = Number(process.env['SEED'] ?? Date.now() % 2 ** 32)

/** Numbers of events, `step` apart. */
function points(step: number): number[] {
  return Array.from({ length: Math.floor(MOST_EVENTS / step) }, (_, index) => 1 + index * step)
}

function describe(all: readonly Interrupted[]): string {
  const orphans = all.filter((each) => each.orphans > 0).length
  const inTime = all.filter(({ isInTime }) => isInTime).length
  const slowest = Math.max(...all.map(({ endedAfterMs }) => endedAfterMs))
  return `${all.length} interruptions, ${inTime} in time, ${orphans} with orphans, ended after ${slowest} ms at most`
}

test('an issuance that was killed at any point is brought to its end by the next start', { skip }, async (t) => {
  const world = await startWorld(t)
  const all: Interrupted[] = []
  for (const afterEvents of points(2)) {
    all.push(...(await surviveInterruptions(t, world, [{ signal: 'SIGKILL', afterEvents }])))
  }
  t.ok(all.filter(({ orphans }) => orphans > 0).length > 5, 'enough were killed while records stood')
  t.comment(describe(all))
})

test('one that was killed three times in a row is, too', { skip }, async (t) => {
  const world = await startWorld(t)
  const random = createRandom(seed)
  const all: Interrupted[] = []
  for (let round = 0; round < 8; round++) {
    const kill = () => ({ signal: 'SIGKILL', afterEvents: 1 + random.below(MOST_EVENTS) }) as const
    all.push(...(await surviveInterruptions(t, world, [kill(), kill(), kill()])))
  }
  t.comment(`seed ${seed}: ${describe(all)}`)
})

for (const silent of [undefined, 'authority', 'name server'] as const) {
  const condition = silent === undefined ? '' : ` while the ${silent} is silent`
  test(
    `SIGTERM ends SOAKP at any point of an issuance${condition}, and the next start goes on`,
    { skip },
    async (t) => {
      const world = await startWorld(t)
      const all: Interrupted[] = []
      for (const afterEvents of points(silent === undefined ? 3 : 6)) {
        const how = { signal: 'SIGTERM', afterEvents, ...(silent !== undefined && { silent }) } as const
        all.push(...(await surviveInterruptions(t, world, [how])))
      }
      t.comment(describe(all))
      t.ok(Math.max(...all.map(({ endedAfterMs }) => endedAfterMs)) < 2_000)
    },
  )
}

test(
  'records of a killed process are removed though the next one is told of other names or authorities',
  { skip },
  async (t) => {
    const world = await startWorld(t)
    const other = await startPebble(t, { dnsServer: world.primary.host })
    for (const changes of [
      { SOAKP_DOMAIN: 'other.soakp.test' },
      { SOAKP_ACME_DIRECTORY: other.directory, SOAKP_ACME_CA_FILE: other.rootsFile },
    ]) {
      // How many events there are before the records are written differs.
      let orphans = 0
      for (let afterEvents = 24; orphans === 0 && afterEvents < 60; afterEvents += 2) {
        const [met] = await surviveInterruptions(t, world, [{ signal: 'SIGKILL', afterEvents }], changes)
        orphans = met?.orphans ?? 0
      }
      t.ok(orphans > 0)
    }
  },
)
