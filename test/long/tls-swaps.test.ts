import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { test } from 'tap'
import { startLoadedSoakp } from '../support/swap-load.ts'

const WARM_UP = 1_000
const SWAPS = 10_000

/** How much the process may grow in all: a swap that left its certificate behind would take three times as much. */
const MOST_BYTES = 32 * 1_048_576

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

/** The resident memory once everything that is garbage has been collected. */
async function residentBytes(): Promise<number> {
  for (let round = 0; round < 5; round += 1) {
    collectGarbage()
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  return process.memoryUsage().rss
}

test(`${SWAPS} swaps under load fail no handshake, drop nothing and leave no memory behind`, async (t) => {
  const soakp = await startLoadedSoakp(t)
  await soakp.swap(WARM_UP)
  const before = await residentBytes()
  const took: number[] = []
  for (let done = 0; done < SWAPS; done += 1_000) {
    took.push(...(await soakp.swap(1_000)))
    const grownMiB = ((await residentBytes()) - before) / 1_048_576
    t.comment(`after ${done + 1_000} swaps: grown by ${grownMiB.toFixed(1)} MiB`)
  }
  const grown = (await residentBytes()) - before
  const load = await soakp.end()
  t.equal(took.length, SWAPS)
  for (const [what, count] of Object.entries(load)) t.ok(count >= SWAPS / 4, `${what}: ${count}`)
  t.ok(grown < MOST_BYTES, `grown by ${(grown / 1_048_576).toFixed(1)} MiB`)
  const sorted = took.toSorted((a, b) => a - b)
  const [median = NaN, most = NaN] = [sorted[SWAPS / 2], sorted[Math.floor(SWAPS * 0.999)]]
  t.comment(
    `a new connection finds the new certificate after ${median.toFixed(1)} ms, of 1,000 the last after ${most.toFixed(1)} ms`,
  )
})
