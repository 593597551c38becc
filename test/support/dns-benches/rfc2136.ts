import { Resolver } from 'node:dns/promises'
import { hasErrorCode } from '../../../services/errors.ts'
import { needsKnot, startKnot } from '../knot.ts'
import { createKey } from '../name-server.ts'
import { ZONES, optionsOf } from './bench.ts'
import type { BenchSetup } from './bench.ts'

/** Knot, a real server. */
export const rfc2136: BenchSetup = {
  isMissing: needsKnot(),

  async start(t) {
    const knot = await startKnot(t, { zones: Object.fromEntries(ZONES.map((zone) => [zone, ''])) })
    const resolver = new Resolver({ timeout: 5000, tries: 2 })
    resolver.setServers([knot.host])
    const withSecret = (secret: string) =>
      optionsOf({
        RFC2136_NAMESERVER: knot.host,
        RFC2136_TSIG_KEY: knot.key.name,
        RFC2136_TSIG_ALGORITHM: knot.key.algorithm,
        RFC2136_TSIG_SECRET: secret,
      })
    const zoneOf = (name: string) =>
      ZONES.filter((zone) => name.endsWith(`.${zone}`)).toSorted((left, right) => right.length - left.length)[0] ?? ''
    return {
      options: withSecret(knot.key.secret),
      wrong: withSecret(createKey().secret),

      values: (name) => textsAt(resolver, name),
      write: (name, value) => knot.update(zoneOf(name), `update add ${name}. 300 TXT ${asText(value)}`),
      snapshot: async () => JSON.stringify(await Promise.all(ZONES.map((zone) => knot.records(zone)))),
    }
  },
}

/** Node gives octets as Latin-1. */
async function textsAt(resolver: Resolver, name: string): Promise<readonly string[]> {
  try {
    const records = await resolver.resolveTxt(name)
    return records.map((pieces) => Buffer.from(pieces.join(''), 'latin1').toString())
  } catch (error) {
    if (hasErrorCode(error, 'ENODATA') || hasErrorCode(error, 'ENOTFOUND')) return []
    throw error
  }
}

/** As nsupdate reads it: in pieces of at most 255 octets, escaped in decimal. */
function asText(value: string): string {
  const octets = [...Buffer.from(value)]
  const pieces = Array.from({ length: Math.max(Math.ceil(octets.length / 255), 1) }, (_, index) =>
    octets
      .slice(index * 255, (index + 1) * 255)
      .map(escape)
      .join(''),
  )
  return pieces.map((piece) => `"${piece}"`).join(' ')
}

function escape(octet: number): string {
  const character = String.fromCharCode(octet)
  return /[\w+/=.-]/.test(character) ? character : `\\${String(octet).padStart(3, '0')}`
}
