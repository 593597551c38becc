import { SoakpError } from './errors.ts'
import { classifyAddress } from './private-address.ts'

/**
 * Normalises an upstream's base URL as SDKs take it: `https://host/v1`, without a trailing slash; without a path `/v1`
 * is meant. Throws `SOAKP_BASE_URL_INVALID` naming `param`.
 */
export function normaliseBaseUrl(value: string, param: string): string {
  const url = URL.canParse(value) ? new URL(value) : undefined
  if (url === undefined || (url.protocol !== 'https:' && url.protocol !== 'http:')) {
    throw invalid(param, `${param} must be a URL like https://api.openai.com/v1.`)
  }
  if (url.username !== '' || url.password !== '') throw invalid(param, `${param} must not contain a user or password.`)
  if (url.search !== '' || url.hash !== '' || value.includes('?') || value.includes('#')) {
    throw invalid(param, `${param} must not contain a query or a fragment.`)
  }
  if (/\/\.{1,2}(?:\/|$)|%2e|%2f|%5c|\\/i.test(value)) {
    throw invalid(param, `${param} must not contain dot segments or encoded slashes.`)
  }
  const path = url.pathname.replace(/\/+$/, '')
  return url.origin + (path === '' ? '/v1' : path)
}

/**
 * Refuses a base URL that a key must not name: link-local and metadata addresses never, plain HTTP and private
 * addresses only where the operator named the origin. Host names are checked again when they are connected to.
 */
export function assertBaseUrlAllowed(baseUrl: string, namedOrigins: readonly string[], param: string): void {
  const url = new URL(baseUrl)
  const kind = addressKind(url.hostname)
  if (kind === 'forbidden') throw invalid(param, `${param} names an address that no upstream can have.`)
  if (kind === 'loopback' || namedOrigins.includes(url.origin)) return
  if (url.protocol === 'http:' || kind === 'private') {
    throw invalid(
      param,
      `${param} is on plain HTTP or a private address. If that is meant, add ${url.origin} to SOAKP_ALLOW_PRIVATE_UPSTREAMS.`,
    )
  }
}

/** Tells whether a host name or address means this machine. */
export function isLoopbackHost(host: string): boolean {
  return addressKind(host) === 'loopback'
}

/** Normalises a browser's origin, `https://app.example.com`. Throws `SOAKP_ORIGIN_INVALID` naming `param`. */
export function normaliseOrigin(value: string, param: string): string {
  const url = ORIGIN.test(value) && URL.canParse(value) ? new URL(value) : undefined
  if (url !== undefined && url.host !== '') return `${url.protocol}//${url.host}`
  const message = `${param} must hold origins like https://app.example.com, without a path or *; "${value}" is none.`
  throw new SoakpError(400, 'SOAKP_ORIGIN_INVALID', message, { param })
}

/** A scheme and a host; the URL parser would also take `*`, a user, a path and spaces. */
const ORIGIN = /^[a-z][a-z\d+.-]*:\/\/[^\s/?#@\\*]+\/?$/i

function addressKind(host: string): 'public' | 'loopback' | 'private' | 'forbidden' {
  const name = host.replace(/^\[|\]$/g, '')
  if (name === 'localhost' || name.endsWith('.localhost')) return 'loopback'
  const isAddress = name.includes(':') || /^[\d.]+$/.test(name)
  return isAddress ? classifyAddress(name) : 'public'
}

function invalid(param: string, message: string): SoakpError {
  return new SoakpError(400, 'SOAKP_BASE_URL_INVALID', message, { param })
}
