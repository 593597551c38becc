import { isIPv6 } from 'node:net'
import type { HostAddress, Verdict } from './resolver-zone.ts'

/** An address that was asked, and what came of it. */
export type AskedServer = HostAddress & { readonly verdict: Verdict }

/** A family of addresses that cannot be asked from here, and the servers that have addresses of it. */
export interface ClosedFamily {
  readonly family: 'IPv4' | 'IPv6'
  readonly hosts: readonly string[]
}

/**
 * Separates addresses of a family that this machine does not reach: there is no route, or none of them answers while
 * those of the other family do. Many a container has an IPv6 address that leads nowhere.
 */
export function splitByFamily(servers: readonly AskedServer[]): {
  readonly open: readonly AskedServer[]
  readonly closed: readonly ClosedFamily[]
} {
  const families = [
    { family: 'IPv4', members: servers.filter(({ address }) => !isIPv6(address)) },
    { family: 'IPv6', members: servers.filter(({ address }) => isIPv6(address)) },
  ] as const
  const open: AskedServer[] = []
  const closed: ClosedFamily[] = []
  for (const { family, members } of families) {
    const isDead = members.every(isSilent) && servers.some((server) => !isSilent(server))
    const out = members.filter((server) => isDead || hasNoRoute(server))
    open.push(...members.filter((server) => !out.includes(server)))
    if (out.length > 0) closed.push({ family, hosts: [...new Set(out.map(({ name }) => name))] })
  }
  return { open, closed }
}

function isSilent({ verdict }: AskedServer): boolean {
  return verdict.kind === 'silent'
}

function hasNoRoute({ verdict }: AskedServer): boolean {
  return verdict.kind === 'silent' && verdict.hasNoRoute
}
