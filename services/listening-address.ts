import type { AddressInfo } from 'node:net'
import { networkInterfaces } from 'node:os'
import type { Configuration } from './configuration.ts'

const CALLED_LOCALHOST = new Set(['127.0.0.1', '::1', '0.0.0.0', '::'])

/**
 * Returns the address at which clients reach a server; undefined before it listens. `listening` is what the server's
 * `address()` returns.
 */
export function listeningAddress(
  listening: AddressInfo | string | null,
  configuration: Configuration,
): string | undefined {
  if (listening === null || typeof listening === 'string') return undefined
  return clientAddress(configuration, listening.port)
}

/** Returns the address at which clients reach a server on this port: its domain, or else as programs on this machine do. */
export function clientAddress(configuration: Configuration, port: number): string {
  const { acme, tls } = configuration
  const domain = acme?.names.find((name) => !name.startsWith('*'))
  if (tls.mode !== 'acme' || domain === undefined) return localAddress(configuration, port)
  return `https://${domain}${port === 443 ? '' : `:${port}`}`
}

/** Returns the address at which programs on this machine reach a server on this port, so not 0.0.0.0. */
export function localAddress({ host, tls }: Configuration, port: number): string {
  const name = CALLED_LOCALHOST.has(host) ? 'localhost' : host.includes(':') ? `[${host}]` : host
  return `${tls.mode === 'off' ? 'http' : 'https'}://${name}:${port}`
}

/** Returns the address that means all of this machine: also those of IPv4 where it has IPv6. */
export function everyAddress(): string {
  const addresses = Object.values(networkInterfaces()).flatMap((each) => each ?? [])
  return addresses.some(({ family }) => family === 'IPv6') ? '::' : '0.0.0.0'
}
