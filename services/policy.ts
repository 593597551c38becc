import { SoakpError } from './errors.ts'
import { matchesPath } from './path-pattern.ts'

/** How often a token may be used. */
export interface TokenLimits {
  readonly requests_per_minute: number
  readonly requests_per_day: number
  readonly parallel_requests: number
}

/** What a token may do: absent methods, paths or an absent scope mean all; no origins mean that it is not bound to pages. */
export interface TokenPolicy {
  readonly scope: { methods?: string[]; paths?: string[] }
  readonly origins: string[]
  readonly limits: TokenLimits
}

/** What of a request a policy looks at, before any byte of the body is read. */
export interface PolicyRequest {
  readonly method: string
  /** Raw path after `/v1`, without query. */
  readonly path: string
  readonly origin: string | undefined
}

/** Throws `SOAKP_ORIGIN_REFUSED` or `SOAKP_SCOPE_REFUSED` (403) unless the policy allows the request. */
export function assertAllowed(policy: TokenPolicy, request: PolicyRequest): void {
  assertOriginAllowed(policy, request.origin)
  const { methods, paths } = policy.scope
  if (methods !== undefined && !isMethodAllowed(methods, request.method)) {
    const message = `This token may not use ${request.method}, only ${methods.join(', ')}. Ask for a token with a wider scope.`
    throw new SoakpError(403, 'SOAKP_SCOPE_REFUSED', message)
  }
  if (paths !== undefined && !matchesPath(paths, request.path)) {
    const message = `This token may not call this path, only ${paths.join(', ')}. Ask for a token with a wider scope.`
    throw new SoakpError(403, 'SOAKP_SCOPE_REFUSED', message)
  }
}

/** Throws `SOAKP_ORIGIN_REFUSED` when the token is bound to pages and the request comes from none of them. */
export function assertOriginAllowed(policy: TokenPolicy, origin: string | undefined): void {
  if (policy.origins.length === 0 || (origin !== undefined && policy.origins.includes(origin))) return
  const message = `This token works only from pages of ${policy.origins.join(', ')}.`
  throw new SoakpError(403, 'SOAKP_ORIGIN_REFUSED', message)
}

/** HEAD is GET without the body (RFC 9110 section 9.3.2). */
function isMethodAllowed(methods: readonly string[], method: string): boolean {
  return methods.includes(method) || (method === 'HEAD' && methods.includes('GET'))
}
