import { quoteTxt, readTxt } from '../../../services/dns-core/txt-values.ts'
import { route53Throttling, startRoute53 } from '../dns-fakes/route53.ts'
import { ZONES, optionsOf } from './bench.ts'
import type { BenchSetup } from './bench.ts'
import { faultsOf } from './fake-faults.ts'

/** Route 53, with pages of two, and private zones beside the public ones. */
export const route53: BenchSetup = {
  isMissing: false,

  async start(t) {
    const hidden = ['example.com', 'hidden.example.com'].map((name) => ({ name, isPrivate: true as const }))
    const fake = await startRoute53(t, { zones: [...ZONES, ...hidden], pageSize: 2 })
    const { accessKeyId, secretAccessKey } = fake
    const withSecret = (secret: string) =>
      optionsOf({ AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secret }, fake.apiUrl)
    return {
      options: withSecret(secretAccessKey),
      wrong: withSecret('canary/secret+access/key'),
      values: async (name) => fake.find(name)?.values.map((value) => readTxt(value, 'octal')) ?? [],

      async write(name, value) {
        const { values = [], ttl = 300 } = fake.find(name) ?? {}
        fake.write({ name, ttl, values: [...values, quoteTxt(value, 'octal')] })
      },

      snapshot: async () => JSON.stringify(fake.zones.map(({ name, sets }) => [name, sets.toSorted(byKey)])),
      faults: { ...faultsOf(fake, () => route53Throttling), tellsWait: false },
    }
  },
}

const keyOf = ({ name, type }: { readonly name: string; readonly type: string }) => `${name} ${type}`
const byKey = (left: Parameters<typeof keyOf>[0], right: typeof left) => (keyOf(left) < keyOf(right) ? -1 : 1)
