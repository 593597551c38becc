import { once } from 'node:events'
import type { AddressInfo, LookupFunction, TcpNetConnectOpts } from 'node:net'
import { connect } from 'node:tls'
import type { Server } from 'node:tls'

/** How long a handshake with this very process may take. */
const HANDSHAKE_MS = 5_000

/**
 * Makes a handshake with a server of this process, as a client would, and returns the SHA-256 fingerprint of the
 * certificate that was served; undefined when the server does not listen. Rejects when it fails or takes longer than
 * `withinMs`.
 */
export async function ownHandshake(
  server: Server,
  servername: string,
  withinMs = HANDSHAKE_MS,
): Promise<string | undefined> {
  const listening = server.address()
  if (listening === null) return undefined
  const place = typeof listening === 'string' ? { path: listening } : reachable(listening)
  // Who signed it is no question here: its fingerprint is compared.
  const socket = connect({ ...place, servername, rejectUnauthorized: false, ALPNProtocols: ['http/1.1'] })
  const deadline = setTimeout(() => socket.destroy(new Error(`no handshake within ${withinMs} ms`)), withinMs).unref()
  socket.once('close', () => clearTimeout(deadline))
  await once(socket, 'secureConnect')
  // Not torn down, or the server would take it for a client that failed.
  socket.on('error', () => undefined).resume()
  socket.end()
  return socket.getPeerX509Certificate()?.fingerprint256
}

/** An address that stands for all of the machine's is listened on, but not connected to. */
function reachable({ address, port }: AddressInfo): TcpNetConnectOpts {
  if (address === '0.0.0.0') return { host: '127.0.0.1', port }
  return address === '::' ? { host: 'localhost', port, lookup: lookUpLoopback } : { host: address, port }
}

/** Where IPv6 is switched off, `::` is listened on all the same and takes IPv4 alone. */
const lookUpLoopback: LookupFunction = (_name, _options, answer) => {
  answer(null, [
    { address: '::1', family: 6 },
    { address: '127.0.0.1', family: 4 },
  ])
}
