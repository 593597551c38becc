import { BlockList, isIP } from 'node:net'

/** Says where an address leads; `forbidden` is never a place to connect to, whatever the configuration allows. */
export type AddressKind = 'public' | 'loopback' | 'private' | 'forbidden'

/**
 * Tells what kind of address it is: 'public' | 'loopback' | 'private' | 'forbidden'.
 * What is no IP address literal is forbidden. IPv6 addresses that carry an IPv4 address (mapped, NAT64, 6to4) are of
 * that address's kind. Source: the IANA special-purpose address registries (RFC 6890) and the clouds' manuals.
 */
export function classifyAddress(address: string): AddressKind {
  const family = isIP(address)
  if (family === 0) return 'forbidden'
  if (family === 4) return classify(address, 'ipv4')
  const [withoutZone = ''] = address.split('%')
  const groups = readGroups(withoutZone)
  const embedded = readEmbedded(groups)
  if (embedded !== undefined) return classify(embedded, 'ipv4')
  return classify(groups.map((group) => group.toString(16)).join(':'), 'ipv6')
}

function classify(address: string, family: 'ipv4' | 'ipv6'): AddressKind {
  if (forbidden.check(address, family)) return 'forbidden'
  if (loopback.check(address, family)) return 'loopback'
  if (privateUse.check(address, family)) return 'private'
  if (family === 'ipv6' && !globalUnicast.check(address, family)) return 'forbidden'
  return 'public'
}

/** Returns the IPv4 address inside ::ffff:0:0/96 (mapped), 64:ff9b::/96 (NAT64) or 2002::/16 (6to4). */
function readEmbedded(groups: readonly number[]): string | undefined {
  const start = groups.slice(0, 6).join(':')
  if (start === '0:0:0:0:0:65535' || start === '100:65435:0:0:0:0') return toDotted(groups.slice(6))
  if (groups[0] === 0x2002) return toDotted(groups.slice(1, 3))
  return undefined
}

function toDotted(groups: readonly number[]): string {
  return groups.flatMap((group) => [group >> 8, group & 0xff]).join('.')
}

/** Reads an IPv6 address into its eight groups; the URL parser has already turned a dotted end into two of them. */
function readGroups(address: string): number[] {
  const [left = '', right] = new URL(`http://[${address}]`).hostname.slice(1, -1).split('::')
  const head = left.split(':').filter(Boolean)
  const tail = right?.split(':').filter(Boolean) ?? []
  const zeros = Array.from({ length: 8 - head.length - tail.length }, () => '0')
  return [...head, ...zeros, ...tail].map((group) => Number.parseInt(group, 16))
}

function createList(...subnets: readonly string[]): BlockList {
  const list = new BlockList()
  for (const subnet of subnets) {
    const [network = '', prefix] = subnet.split('/')
    list.addSubnet(network, Number(prefix), isIP(network) === 6 ? 'ipv6' : 'ipv4')
  }
  return list
}

const forbidden = createList(
  '0.0.0.0/8', // this host: Linux connects 0.0.0.0 to itself
  '100.100.100.200/32', // metadata: Alibaba
  '168.63.129.16/32', // metadata: Azure
  '169.254.0.0/16', // link-local, metadata of most clouds
  '192.0.0.0/24', // protocol assignments, metadata: Oracle
  '192.88.99.0/24', // 6to4 relays, withdrawn
  '224.0.0.0/4', // multicast
  '240.0.0.0/4', // reserved, broadcast
  '::/128', // unspecified
  '64:ff9b:1::/48', // NAT64 of local use: where the IPv4 address is, only that network knows
  '2001::/23', // protocol assignments: Teredo, ORCHID
  'fd00:42::42/128', // metadata: Scaleway
  'fd00:c1::a9fe:a9fe/128', // metadata: Oracle
  'fd00:ec2::/32', // metadata and pod credentials: Amazon
  'fd20:ce::254/128', // metadata: Google
  'fe80::/10', // link-local
  'ff00::/8', // multicast
)

const loopback = createList('127.0.0.0/8', '::1/128')

const privateUse = createList(
  '10.0.0.0/8',
  '172.16.0.0/12',
  '192.168.0.0/16',
  '100.64.0.0/10', // shared by carriers (RFC 6598)
  '198.18.0.0/15', // benchmarks
  '192.0.2.0/24', // documentation, as the next two
  '198.51.100.0/24',
  '203.0.113.0/24',
  '2001:db8::/32', // documentation, as the next
  '3fff::/20',
  'fc00::/7',
)

/** IANA has given out no other global addresses; what is outside and not listed above is forbidden. */
const globalUnicast = createList('2000::/3')
