import { Resolver } from 'node:dns/promises'
import type { TxtLookup } from './context.ts'

/**
 * Sees the DNS as an authority with several points of view does: every one of the servers (`host:port`) must have a value
 * for it to count.
 */
export function askServers(servers: readonly string[]): TxtLookup {
  const resolvers = servers.map((server) => {
    const resolver = new Resolver({ timeout: 2000, tries: 2 })
    resolver.setServers([server])
    return resolver
  })
  return async (name) => {
    const views = await Promise.all(resolvers.map((resolver) => askOne(resolver, name)))
    const [first = [], ...others] = views
    return first.filter((value) => others.every((view) => view.includes(value)))
  }
}

async function askOne(resolver: Resolver, name: string): Promise<string[]> {
  try {
    return (await resolver.resolveTxt(name)).map((parts) => parts.join(''))
  } catch (error) {
    const isAbsent = error instanceof Error && 'code' in error && ['ENODATA', 'ENOTFOUND'].includes(String(error.code))
    if (isAbsent) return []
    throw error
  }
}
