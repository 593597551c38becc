import { readTxt } from '../../../services/dns-core/txt-values.ts'
import { cloudflareLimit, startCloudflare } from '../dns-fakes/cloudflare.ts'
import { ZONES, optionsOf } from './bench.ts'
import type { BenchSetup } from './bench.ts'
import { faultsOf } from './fake-faults.ts'

/** Cloudflare, with pages of two. */
export const cloudflare: BenchSetup = {
  isMissing: false,

  async start(t) {
    const fake = await startCloudflare(t, { zones: ZONES, pageSize: 2 })
    const isForeign = ({ comment }: { readonly comment: string | null }) => comment === null
    return {
      options: optionsOf({ CF_DNS_API_TOKEN: fake.token }, fake.apiUrl),
      wrong: optionsOf({ CF_DNS_API_TOKEN: 'canary-cloudflare-token' }, fake.apiUrl),
      values: async (name) => fake.records(name).map(({ content }) => readTxt(content)),
      write: async (name, value) => void fake.write({ name, content: value }),
      snapshot: async () => JSON.stringify(fake.zones.flatMap(({ records }) => records.filter(isForeign))),
      faults: faultsOf(fake, cloudflareLimit),
    }
  },
}
