import { once } from 'node:events'
import { connect } from 'node:net'
import { connect as connectSecurely } from 'node:tls'
import { createWire } from './wire.ts'
import type { Wire } from './wire.ts'

/** Where calls are sent: the upstream itself, or the proxy that is tested. */
export interface Door {
  readonly host: string
  readonly port: number
  readonly isSecure: boolean
  /** PEM of the authority to trust, where it is not a public one. */
  readonly authority?: string | undefined
  /** The path that targets follow, `/v1`. */
  readonly basePath: string
  readonly token: string
}

/** Reads a base URL: `https://localhost:3033/v1`. */
export function doorOf(baseUrl: string, token: string, authority?: string): Door {
  const { protocol, hostname, port, pathname } = new URL(baseUrl)
  const isSecure = protocol === 'https:'
  return {
    host: hostname.replace(/^\[|\]$/g, ''),
    port: Number(port || (isSecure ? 443 : 80)),
    isSecure,
    authority,
    basePath: pathname.replace(/\/$/, ''),
    token,
  }
}

/** What the `Host` header says. */
export function hostOf({ host, port }: Door): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`
}

/** Opens a connection. */
export async function open({ host, port, isSecure, authority }: Door): Promise<Wire> {
  const options = { host, port, servername: host, ALPNProtocols: ['http/1.1'], ...(authority && { ca: authority }) }
  const socket = isSecure ? connectSecurely(options) : connect({ host, port })
  const wire = createWire(socket)
  await once(socket, isSecure ? 'secureConnect' : 'connect')
  socket.setNoDelay(true)
  return wire
}
