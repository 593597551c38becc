import { isIP, isIPv6 } from 'node:net'
import { SoakpError } from '../errors.ts'

/** Where a name server listens. */
export interface ServerAddress {
  /** A host name or an address, without brackets. */
  readonly host: string
  readonly port: number
}

const HOST_NAME = /^(?=.{1,253}\.?$)[a-z\d_]([a-z\d_-]{0,62})(\.[a-z\d_-]{1,63})*\.?$/i

/** Reads `host`, `host:port`, `[address]:port` or an IPv6 address by itself. Throws `SOAKP_DNS_SERVER` naming `param`. */
export function readServerAddress(text: string, param: string, defaultPort = 53): ServerAddress {
  const found = parseServerAddress(text, defaultPort)
  if (found !== undefined) return found
  const message = `${param} must be a name server like ns1.example.com, 192.0.2.1:53 or [2001:db8::1]:53.`
  throw new SoakpError(400, 'SOAKP_DNS_SERVER', message, { param })
}

/** The same; undefined for what is none. */
export function parseServerAddress(text: string, defaultPort = 53): ServerAddress | undefined {
  const value = text.trim()
  if (isIP(value) !== 0) return { host: value, port: defaultPort }
  const [, bracketed, plain, digits] = /^(?:\[([^\]]*)\]|([^:]*))(?::(\d{1,5}))?$/.exec(value) ?? []
  const port = digits === undefined ? defaultPort : Number(digits)
  const host = bracketed ?? plain ?? ''
  const isHost = bracketed === undefined ? isIP(host) !== 0 || isHostName(host) : isIPv6(host)
  return isHost && port > 0 && port <= 65_535 ? { host, port } : undefined
}

/** Writes `host:port`, an IPv6 address in brackets. */
export function formatServerAddress({ host, port }: ServerAddress): string {
  return `${isIPv6(host) ? `[${host}]` : host}:${port}`
}

/** Digits and dots that are no address are a mistyped one. */
function isHostName(text: string): boolean {
  return HOST_NAME.test(text) && !/^[\d.]+$/.test(text)
}
