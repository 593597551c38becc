import type { AddressInfo } from 'node:net'
import type { Configuration } from './configuration.ts'

const CALLED_LOCALHOST = new Set(['127.0.0.1', '::1', '0.0.0.0', '::'])

/**
 * Returns the address at which programs on this machine reach a server, so not 0.0.0.0; undefined before it listens.
 * `listening` is what the server's `address()` returns.
 */
export function listeningAddress(
  listening: AddressInfo | string | null,
  configuration: Configuration,
): string | undefined {
  if (listening === null || typeof listening === 'string') return undefined
  return localAddress(configuration, listening.port)
}

/** Returns the address at which programs on this machine reach a server on this port. */
export function localAddress({ host, tls }: Configuration, port: number): string {
  const name = CALLED_LOCALHOST.has(host) ? 'localhost' : host.includes(':') ? `[${host}]` : host
  return `${tls.mode === 'off' ? 'http' : 'https'}://${name}:${port}`
}
