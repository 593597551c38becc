import { startHttpreq } from '../dns-fakes/httpreq.ts'
import { optionsOf } from './bench.ts'
import type { BenchSetup } from './bench.ts'
import { faultsOf } from './fake-faults.ts'

/** A program behind HTTP. */
export const httpreq: BenchSetup = {
  isMissing: false,

  async start(t) {
    const fake = await startHttpreq(t)
    const withPassword = (password: string) =>
      optionsOf({ HTTPREQ_ENDPOINT: fake.url, HTTPREQ_USERNAME: fake.username, HTTPREQ_PASSWORD: password })
    return {
      options: withPassword(fake.password),
      wrong: withPassword('canary-of-httpreq'),
      values: async (name) => fake.values(name),
      write: async (name, value) => fake.write(name, value),
      snapshot: async () => JSON.stringify(fake.all()),
      faults: faultsOf(fake, (seconds) => ({ status: 429, headers: { 'retry-after': String(seconds) }, body: '' })),
    }
  },
}
