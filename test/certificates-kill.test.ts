import { test } from 'tap'
import { startWorld, worldIsMissing } from './support/acme-world.ts'
import { surviveInterruptions } from './support/interruptions.ts'

// test/long does it at every point.
test(
  'an issuance that was killed, and then ended by SIGTERM while the name server was silent, is brought to its end',
  { skip: worldIsMissing },
  async (t) => {
    const world = await startWorld(t)
    const [killed, told] = await surviveInterruptions(t, world, [
      { signal: 'SIGKILL', afterEvents: 28 },
      { signal: 'SIGTERM', afterEvents: 8, silent: 'name server' },
    ])
    t.match([killed, told], [{ isInTime: true }, { isInTime: true }])
    t.ok((told?.endedAfterMs ?? Infinity) < 10_000)
  },
)
