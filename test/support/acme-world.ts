import type { Test } from 'tap'
import { startBind } from './bind.ts'
import { startDnsdist } from './dnsdist.ts'
import { needsKnot, startDelegatedZone, startKnot } from './knot.ts'
import type { DelegatedZone, Knot } from './knot.ts'
import { nameServers, ownAddress } from './name-server.ts'
import type { NameServer, TestKey } from './name-server.ts'
import { pebbleIsMissing, startPebble } from './pebble.ts'
import type { Pebble, PebbleOptions } from './pebble.ts'
import { needs } from './process.ts'
import { startUnbound } from './unbound.ts'
import type { Unbound } from './unbound.ts'

/** The zone that certificates are got in, on the name server `ns1.soakp.test`. */
export const ZONE = 'soakp.test'
/** The name of SOAKP in it. */
export const DOMAIN = 'ai.soakp.test'

/** Why tests that get certificates are skipped here, or false. */
export const worldIsMissing: string | false = needsKnot() || needs('unbound') || needs('dnsdist') || pebbleIsMissing

/** What belongs to others: one more client that proves the same name, and records beside. */
const FOREIGN = `ai A 127.0.0.1
ai TXT "v=spf1 -all"
_acme-challenge.ai TXT "of-another-client"
_acme-challenge TXT "of-another-client"
www CNAME ai
`

/** How a world differs. */
export interface WorldOptions {
  /** Added to the zone, names relative to it. */
  readonly records?: string
  /** Further zones of the same server; the authority then asks the resolver, which follows CNAMEs into them. */
  readonly beside?: Readonly<Record<string, string>>
  readonly pebble?: Omit<PebbleOptions, 'dnsServer'>
  /** Has BIND for the name server, with this key. */
  readonly bindKey?: TestKey
}

/** An Internet of its own: a zone and its parent, a resolver and a certificate authority. */
export interface AcmeWorld {
  readonly parent: Knot
  readonly primary: NameServer
  readonly resolver: Unbound
  readonly pebble: Pebble
  /** What SOAKP is told to get a certificate for `DOMAIN` and the names below it. */
  readonly environment: Readonly<Record<string, string>>
}

/** Starts a world with one name server. It ends with the test. */
export async function startWorld(
  t: Test,
  { records = '', beside = {}, pebble, bindKey }: WorldOptions = {},
): Promise<AcmeWorld> {
  const [above, address] = [ownAddress(), ownAddress()]
  const delegation = nameServers(ZONE, { ns1: address })
  const zones = { [ZONE]: `${delegation}${FOREIGN}${records}`, ...beside }
  const others = Object.keys(beside).map((zone) => `${zone}. NS ns1.${ZONE}.\n`)
  const [parent, primary] = await Promise.all([
    startKnot(t, {
      address: above,
      zones: { test: `${nameServers('test', { ns: above })}${delegation}${others.join('')}` },
    }),
    bindKey === undefined ? startKnot(t, { address, zones }) : startBind(t, { address, zones, keys: [bindKey] }),
  ])
  const resolver = await startUnbound(t, { test: parent.address })
  // A resolver remembers for two seconds what it was told for one: too long where a name is proved again at once.
  const dnsServer = others.length === 0 ? primary.host : resolver.address
  const authority = await startPebble(t, { ...pebble, dnsServer })
  return { parent, primary, resolver, pebble: authority, environment: environmentOf(primary, resolver, authority) }
}

/**
 * Starts a world with three name servers, of which the third lags until `lagging.refresh(ZONE)`. The authority looks at
 * each of them, every time.
 */
export async function startLaggingWorld(t: Test): Promise<AcmeWorld & DelegatedZone> {
  const zone = await startDelegatedZone(t, ZONE, { records: FOREIGN })
  const { parent, primary, following, lagging } = zone
  const resolver = await startUnbound(t, { test: parent.address })
  const dnsServer = await startDnsdist(
    t,
    [primary, following, lagging].map(({ address }) => address),
  )
  const pebble = await startPebble(t, { dnsServer })
  return { ...zone, resolver, pebble, environment: environmentOf(primary, resolver, pebble) }
}

function environmentOf({ host, key }: NameServer, resolver: Unbound, pebble: Pebble): AcmeWorld['environment'] {
  return {
    SOAKP_HOST: '127.0.0.1',
    SOAKP_DOMAIN: `${DOMAIN},*.${DOMAIN}`,
    SOAKP_ACME_DIRECTORY: pebble.directory,
    SOAKP_ACME_CA_FILE: pebble.rootsFile,
    SOAKP_DNS: 'rfc2136',
    SOAKP_DNS_RESOLVERS: resolver.address,
    RFC2136_NAMESERVER: host,
    RFC2136_TSIG_KEY: key.name,
    RFC2136_TSIG_ALGORITHM: key.algorithm,
    RFC2136_TSIG_SECRET: key.secret,
  }
}
