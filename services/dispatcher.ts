import { lookup as systemLookup } from 'node:dns'
import type { LookupAddress, LookupAllOptions, LookupOptions } from 'node:dns'
import tls from 'node:tls'
import type { PeerCertificate } from 'node:tls'
import { Agent, Pool } from 'undici'
import type { Dispatcher } from 'undici'
import { assertBaseUrlAllowed } from './base-url.ts'
import { SoakpError } from './errors.ts'
import { classifyAddress } from './private-address.ts'
import { createUpstreamConnector } from './upstream-connector.ts'

/** How upstreams are connected to. `certificates` are further roots to trust, PEM. */
export interface DispatcherOptions {
  readonly privateUpstreams: readonly string[]
  readonly certificates: string | undefined
  readonly upstreamConnectMs: number
  readonly upstreamAnswerMs: number
  readonly upstreamIdleMs: number
  readonly upstreamConnections: number
  /** Resolves host names: `dns.lookup` unless a test gives another. */
  readonly lookup?: AddressLookup
}

/** `dns.lookup` as it is called here. */
export type AddressLookup = (
  name: string,
  options: LookupAllOptions,
  callback: (error: Error | null, addresses: LookupAddress[]) => void,
) => void

/**
 * Creates the dispatcher of upstream calls, with one pool of connections for each origin: HTTP/1.1, certificates
 * verified, no retries, no redirects, no cache. The address is checked when it is connected to, so a name that starts
 * to resolve to a private address is refused then.
 */
export function createDispatcher(options: DispatcherOptions): Dispatcher {
  const connectTo = createConnectOptions(options)
  return new Agent({
    factory(origin) {
      const url = String(origin)
      return new Pool(url, {
        connections: options.upstreamConnections,
        pipelining: 1,
        allowH2: false,
        headersTimeout: options.upstreamAnswerMs,
        bodyTimeout: options.upstreamIdleMs,
        maxHeaderSize: 65_536,
        strictContentLength: true,
        connect: createUpstreamConnector(connectTo(url)),
      })
    },
  })
}

/** How a connection to one origin is made, for undici and for `ws`. */
export interface ConnectOptions {
  readonly timeout: number
  readonly rejectUnauthorized: true
  readonly minVersion: 'TLSv1.2'
  readonly checkServerIdentity: typeof checkIdentity
  readonly lookup: ReturnType<typeof guardLookup>
  readonly ca?: string[]
}

/** Creates the function that tells how to connect to an origin. Throws `SOAKP_UPSTREAM_ADDRESS` where it must not be. */
export function createConnectOptions(options: DispatcherOptions): (origin: string) => ConnectOptions {
  const { certificates, privateUpstreams, lookup = systemLookup } = options
  const ca = certificates === undefined ? undefined : [...tls.getCACertificates(), certificates]
  return (origin) => {
    assertStillAllowed(origin, privateUpstreams)
    return {
      timeout: options.upstreamConnectMs,
      rejectUnauthorized: true,
      minVersion: 'TLSv1.2',
      checkServerIdentity: checkIdentity,
      lookup: guardLookup(lookup, new URL(origin).hostname, privateUpstreams.includes(origin)),
      ...(ca !== undefined && { ca }),
    }
  }
}

/** As Node does it, but a certificate that may sign others is no server's, which OpenSSL lets pass. */
function checkIdentity(hostName: string, certificate: PeerCertificate): Error | undefined {
  if (!certificate.ca) return tls.checkServerIdentity(hostName, certificate)
  return Object.assign(new Error('the certificate is one of an authority'), { code: 'ERR_TLS_CERT_OF_AUTHORITY' })
}

type LookupCallback = (error: Error | null, addresses: LookupAddress[] | string, family?: number) => void

/** Makes a `dns.lookup` that refuses a name of which any address is not allowed. */
function guardLookup(resolve: AddressLookup, hostName: string, isNamed: boolean) {
  const isLocal = hostName === 'localhost' || hostName.endsWith('.localhost')

  function isAllowed({ address }: LookupAddress): boolean {
    const kind = classifyAddress(address)
    return kind === 'public' || (kind !== 'forbidden' && (isNamed || (isLocal && kind === 'loopback')))
  }

  return (name: string, options: LookupOptions, callback: LookupCallback): void => {
    resolve(name, { ...options, all: true }, (error, addresses) => {
      if (error !== null) return callback(error, [])
      if (!addresses.every(isAllowed)) return callback(refused(name), [])
      if (options.all === true) return callback(null, addresses)
      const [first] = addresses
      return callback(null, first?.address ?? '', first?.family)
    })
  }
}

/** A key may have been saved when the configuration allowed more. */
function assertStillAllowed(origin: string, privateUpstreams: readonly string[]): void {
  try {
    assertBaseUrlAllowed(origin, privateUpstreams, 'The upstream')
  } catch (cause) {
    throw refused(origin, cause)
  }
}

function refused(upstream: string, cause?: unknown): SoakpError {
  const message = `The upstream ${upstream} has a private address. If that is meant, name its origin in SOAKP_ALLOW_PRIVATE_UPSTREAMS.`
  return new SoakpError(502, 'SOAKP_UPSTREAM_ADDRESS', message, { headers: { 'x-should-retry': 'false' }, cause })
}
