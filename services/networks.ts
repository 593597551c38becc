import { BlockList, isIP } from 'node:net'

/**
 * Returns what counts as one address: an IPv4 address, or the /64 of an IPv6 address, of which one machine has all.
 * An IPv4 address within an IPv6 one is the IPv4 address.
 */
export function addressOf(ip: string): string {
  return groupsOf(ip, 4, 4)
}

/** Returns the network of an address: its IPv4 /24 or its IPv6 /48, which one customer often has whole. */
export function networkOf(ip: string): string {
  return groupsOf(ip, 3, 3)
}

/** Returns the first so many bytes of an IPv4 address, or groups of an IPv6 address. */
function groupsOf(ip: string, bytes: number, groups: number): string {
  const [address = ''] = ip.split('%')
  const four = isIP(address) === 4 ? address : /^(?:0{0,4}:){2,5}:?ffff:(\d+\.\d+\.\d+\.\d+)$/i.exec(address)?.[1]
  if (four !== undefined) return four.split('.', bytes).join('.')
  if (isIP(address) !== 6) return address
  const [left = '', right = ''] = address.split('::')
  const head = left.split(':').filter(Boolean)
  const tail = right.split(':').filter(Boolean)
  const missing = address.includes('::') ? Math.max(0, 8 - head.length - tail.length) : 0
  const all = [...head, ...Array.from({ length: missing }, () => '0'), ...tail]
  return `${all
    .slice(0, groups)
    .map((group) => Number.parseInt(group, 16).toString(16))
    .join(':')}::`
}

/** Creates a function that tells whether an address is in one of these addresses and CIDR ranges. */
export function createNetworks(networks: readonly string[]): (ip: string) => boolean {
  const list = new BlockList()
  for (const each of networks) {
    const [network = '', prefix] = each.split('/')
    const family = isIP(network) === 6 ? 'ipv6' : 'ipv4'
    list.addSubnet(network, prefix === undefined ? (family === 'ipv6' ? 128 : 32) : Number(prefix), family)
  }
  return (ip) => {
    const four = addressOf(ip)
    return isIP(four) === 4 ? list.check(four, 'ipv4') : list.check(ip, 'ipv6')
  }
}
