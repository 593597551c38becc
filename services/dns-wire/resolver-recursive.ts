import { getServers } from 'node:dns'
import { SoakpError } from '../errors.ts'
import type { DnsAnswer, DnsQuestion, DnsServer } from './query-answer.ts'
import { targetsOf } from './query-answer.ts'
import { NoAnswer } from './query-socket.ts'
import type { Ask } from './query.ts'
import { readServerAddress } from './server-address.ts'

/** Asks recursive resolvers: only for the servers of top-level domains and the addresses of name servers. */
export interface Recursion {
  /** Host names of the servers of a zone; none where the resolvers know no such zone. */
  nameServersOf(zone: string, signal: AbortSignal): Promise<readonly string[]>
  /** Addresses of both families; none where there are none, or where the resolvers fail at this name. */
  addressesOf(host: string, signal: AbortSignal): Promise<readonly string[]>
}

/** Creates the recursion over `addresses` (`host:port`), or the system's resolvers when there are none. */
export function createRecursion(ask: Ask, addresses: readonly string[]): Recursion {
  /** Throws `SOAKP_DNS_UNREACHABLE` when no resolver gives an answer. */
  async function put(question: DnsQuestion, signal: AbortSignal): Promise<DnsAnswer> {
    const resolvers = (addresses.length > 0 ? addresses : getServers()).map(toServer)
    const said: string[] = []
    for (const resolver of resolvers) {
      try {
        const answer = await ask(resolver, question, { isRecursive: true, signal })
        if (answer.code === 'NOERROR' || answer.code === 'NXDOMAIN') return answer
        said.push(`${resolver.address} answers ${answer.code}`)
      } catch (error) {
        if (!(error instanceof NoAnswer)) throw error
        said.push(error.message.replace(/\.$/, ''))
      }
    }
    const list = said.length === 0 ? 'there is none' : said.join('; ')
    const message = `No resolver answers (${list}): name one that does in SOAKP_DNS_RESOLVERS, such as \`1.1.1.1:53\`.`
    throw new SoakpError(502, 'SOAKP_DNS_UNREACHABLE', message)
  }

  return {
    async nameServersOf(name, signal) {
      return targetsOf((await put({ name, type: 'NS' }, signal)).answers, 'NS', name)
    },

    async addressesOf(name, signal) {
      // An alias is forbidden here (RFC 2181 section 10.3) yet met; the resolver has followed it.
      const found = await Promise.allSettled(
        (['A', 'AAAA'] as const).map(async (type) => targetsOf((await put({ name, type }, signal)).answers, type)),
      )
      signal.throwIfAborted()
      return [...new Set(found.flatMap((each) => (each.status === 'fulfilled' ? each.value : [])))]
    },
  }
}

function toServer(text: string): DnsServer {
  const { host, port } = readServerAddress(text, 'SOAKP_DNS_RESOLVERS')
  return { address: host, port }
}
