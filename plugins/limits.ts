import rateLimit from '@fastify/rate-limit'
import fp from 'fastify-plugin'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { SoakpOptions } from '../services/options.ts'
import { SoakpError } from '../services/errors.ts'
import type { TokenLimits } from '../services/policy.ts'
import type { AuthenticatedToken } from '../services/tokens.ts'
import { WindowStore } from '../services/window-store.ts'

/** The limits as others may call them. Each throws a `SoakpError` (429) that says how long to wait. */
export interface Limits {
  /** Counts a request of an authenticated token against its minute and its day. */
  countRequest(request: FastifyRequest, token: AuthenticatedToken): Promise<void>
  /** Refuses a call beyond the token's calls at once. */
  assertParallel(token: AuthenticatedToken): void
  /** Counts a wrong admin credential. */
  countFailedLogin(request: FastifyRequest): Promise<void>
  /** Refuses before a credential is looked at where too many were wrong. */
  assertLoginAllowed(request: FastifyRequest): Promise<void>
  /** What is left of a token's limits now. */
  remaining(request: FastifyRequest, token: AuthenticatedToken): Promise<TokenLimits>
}

const MINUTE_MS = 60_000

/** Limits requests by address before authentication, and provides the limits that authentication calls. */
async function limits(app: FastifyInstance, { configuration }: SoakpOptions): Promise<void> {
  const { liveCalls, dailyCounts } = app.unsealed
  await app.register(rateLimit, {
    global: false,
    store: WindowStore,
    timeWindow: MINUTE_MS,
    ipv6Subnet: 64,
  })
  // Its hooks run after a scope's own onRequest and only once per request, so the limiters are called where they belong.
  const byAddress = app.createRateLimit({ max: configuration.addressRequestsPerMinute, timeWindow: MINUTE_MS })
  const byFailedLogin = app.createRateLimit({ max: configuration.failedLoginsPerMinute, timeWindow: MINUTE_MS })
  const byToken = app.createRateLimit({
    keyGenerator: (request) => request.token?.grant.token_id ?? '',
    max: (request) => request.token?.policy.limits.requests_per_minute ?? 0,
    timeWindow: MINUTE_MS,
  })

  app.addHook('onRequest', async (request) => {
    if (app.isLocalAdmin(request)) return
    assertConnected(request)
    const count = await byAddress(request)
    if (!count.isAllowed && count.isExceeded) throw tooMany('Too many requests from this address.', count.ttlInSeconds)
  })

  const service: Limits = {
    async countRequest(request, token) {
      const perDay = token.policy.limits.requests_per_day
      const count = await byToken(request)
      if (!count.isAllowed && count.isExceeded) {
        throw tooMany(`This token may make ${count.max} requests a minute.`, count.ttlInSeconds)
      }
      // Nothing is awaited between reading and counting, so that requests that come together do not pass together.
      if (dailyCounts.today(token.grant.token_id) >= perDay) {
        throw tooMany(`This token may make ${perDay} requests a day (UTC).`, dailyCounts.secondsLeft())
      }
      dailyCounts.add(token.grant.token_id)
    },

    assertParallel({ grant, policy }) {
      const most = policy.limits.parallel_requests
      if (liveCalls.count(grant.token_id) < most) return
      throw tooMany(`This token may make ${most} requests at once. Wait until one has ended.`, 1)
    },

    async countFailedLogin(request) {
      if (!app.isLocalAdmin(request)) await byFailedLogin(request)
    },

    async assertLoginAllowed(request) {
      if (app.isLocalAdmin(request)) return
      const count = await byFailedLogin(request, { increment: false })
      if (count.isAllowed || count.remaining > 0) return
      throw tooMany('Too many wrong credentials from this address.', count.ttlInSeconds)
    },

    async remaining(request, { grant, policy }) {
      const minute = await byToken(request, { increment: false })
      return {
        requests_per_minute: minute.isAllowed ? policy.limits.requests_per_minute : minute.remaining,
        requests_per_day: Math.max(0, policy.limits.requests_per_day - dailyCounts.today(grant.token_id)),
        parallel_requests: Math.max(0, policy.limits.parallel_requests - liveCalls.count(grant.token_id)),
      }
    },
  }
  app.decorate('limits', service)
}

/** A client that has left has no address any more, and nobody is there to read an answer. */
function assertConnected({ socket }: FastifyRequest): void {
  if (socket.remoteAddress !== undefined) return
  throw new SoakpError(400, 'SOAKP_CLIENT_GONE', 'The client left before its request was looked at.')
}

function tooMany(message: string, seconds: number): SoakpError {
  return new SoakpError(429, 'SOAKP_LIMIT', `${message} Try again in ${seconds} s.`, {
    headers: { 'retry-after': String(seconds) },
  })
}

export default fp(limits, { name: 'limits', fastify: '5.x', dependencies: ['vault'] })

declare module 'fastify' {
  interface FastifyInstance {
    readonly limits: Limits
  }
}
