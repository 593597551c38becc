import type { SocketCase } from './cases/sockets.ts'
import { compareAnswers, compareRequests } from './comparison.ts'
import { allowed, fault, shown } from './differences.ts'
import type { Difference } from './differences.ts'
import type { Exchange } from './exchange.ts'
import type { Header, Message } from './messages.ts'
import { headerOf } from './messages.ts'
import type { SocketExchange } from './socket-exchange.ts'
import type { Transcript } from './transcript.ts'

/** Compares a WebSocket straight to the upstream with the same one through the proxy. */
export function compareSockets(
  each: SocketCase,
  direct: SocketExchange,
  passed: SocketExchange,
  token: string,
): Difference[] {
  const how = { isHttp2: false, token }
  const [before, after] = [direct, passed].map(withoutHandshake)
  if (before === undefined || after === undefined) return []
  const differences = [...compareRequests(each, before, after, how), ...compareAnswers(each, before, after, how)]
  for (const name of ['sec-websocket-protocol', 'sec-websocket-version']) {
    const [were, are] = [direct, passed].map(
      ({ requests: [request] }) => request && headerOf(request, name)?.replaceAll(/\s*,\s*/g, ', '),
    )
    if (were !== are) differences.push(fault(`${name}: ${shown(were)} became ${shown(are)}`))
  }
  const [chosen, told] = [direct, passed].map(({ received }) => headerOf(received, 'sec-websocket-protocol'))
  if (chosen !== told) differences.push(fault(`the chosen subprotocol ${shown(chosen)} became ${shown(told)}`))
  if (passed.client !== undefined && !passed.isAccepted) {
    differences.push(fault('Sec-WebSocket-Accept does not belong to Sec-WebSocket-Key'))
  }
  if (passed.requests.some((request) => !asksForUpgrade(request))) {
    differences.push(fault('the upstream was not asked to upgrade the connection'))
  }
  if (passed.client !== undefined && !asksForUpgrade(passed.received)) {
    differences.push(fault('101 came without Upgrade and Connection'))
  }
  differences.push(...compareTranscripts('the upstream', direct.upstream, passed.upstream))
  differences.push(...compareTranscripts('the client', direct.client, passed.client))
  return differences
}

/** Upgrades are hop-by-hop, so each side has to ask for its own (RFC 6455 section 4). */
function asksForUpgrade(message: Pick<Message, 'headers'>): boolean {
  const connection =
    headerOf(message, 'connection')
      ?.toLowerCase()
      .split(/\s*,\s*/) ?? []
  return headerOf(message, 'upgrade')?.toLowerCase() === 'websocket' && connection.includes('upgrade')
}

function compareTranscripts(who: string, before: Transcript | undefined, after: Transcript | undefined): Difference[] {
  if (before === undefined || after === undefined) return []
  const at = before.events.findIndex((event, index) => event !== after.events[index])
  const index = at === -1 && before.events.length !== after.events.length ? before.events.length : at
  if (index !== -1) {
    return [fault(`${who} got ${shown(after.events[index])} instead of ${shown(before.events[index])}`)]
  }
  if (before.frames === after.frames) return []
  return [allowed('frames', `${who} got ${after.frames} frames instead of ${before.frames}`)]
}

/** Leaves out what belongs to the handshake of one connection, which is compared on its own. */
function withoutHandshake({ requests, received }: SocketExchange): Exchange {
  return {
    requests: requests.map((request) => ({ ...request, headers: request.headers.filter(isNotOfHandshake) })),
    received: { ...received, headers: received.headers.filter(isNotOfHandshake) },
    hasNoticedLeaving: false,
    isHeldBack: false,
  }
}

function isNotOfHandshake([name]: Header): boolean {
  return !name.toLowerCase().startsWith('sec-websocket-')
}
