import { test } from 'tap'
import { PLAIN } from './support/refusals.ts'
import { startSoakp } from './support/soakp.ts'
import { openWire } from './support/wire.ts'

const READY = 'GET /soakp/ready HTTP/1.1\r\nHost: localhost\r\n\r\n'

for (const [scheme, settings] of Object.entries({ https: {}, http: PLAIN })) {
  test(`over ${scheme}, thousands of requests in one packet end their connection and cost next to nothing`, async (t) => {
    const logs: string[] = []
    const soakp = await startSoakp(t, { ...settings, SOAKP_LOG_LEVEL: 'info' }, { logs })
    const wire = await openWire(t, soakp)
    wire.write(READY.repeat(1_000))
    await wire.over()
    t.ok(logs.filter((line) => line.includes('request ended')).length <= 200)
    const other = await openWire(t, soakp)
    for (const round of [1, 2, 3]) {
      const before = other.text().length
      t.comment(`round ${round}`)
      other.write(READY.repeat(50))
      while (other.text().slice(before).split('HTTP/1.1 200').length <= 50) await other.change()
    }
    t.equal(other.end, undefined, 'a client that sends fifty and reads them keeps its connection')
  })
}

test('who makes too many requests from an address is answered 429 and its connection is closed', async (t) => {
  const soakp = await startSoakp(t, { ...PLAIN, SOAKP_ADDRESS_REQUESTS_PER_MINUTE: '3' })
  const wire = await openWire(t, soakp)
  wire.write(READY.repeat(9))
  const text = await wire.over()
  t.equal(text.split('HTTP/1.1 200').length - 1, 3)
  t.equal(text.split('HTTP/1.1 429').length - 1, 1)
})
