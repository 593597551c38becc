import { test } from 'tap'
import { startLoadedSoakp } from './support/swap-load.ts'

const SWAPS = 200
/** Ten times what is promised: under load, on a machine that does other things too. */
const MOST_MS = 500

test('200 swaps under load fail no handshake and drop no request, stream or socket', async (t) => {
  const soakp = await startLoadedSoakp(t)
  const took = (await soakp.swap(SWAPS)).toSorted((a, b) => a - b)
  const load = await soakp.end()
  t.equal(took.length, SWAPS)
  for (const [what, count] of Object.entries(load)) t.ok(count >= SWAPS / 4, `${what}: ${count}`)
  const [median = NaN, most = NaN] = [took[SWAPS / 2], took.at(-1)]
  t.ok(median < MOST_MS, `a new connection finds the new certificate after ${median.toFixed(1)} ms`)
  t.comment(`after ${most.toFixed(1)} ms at most`)
})
