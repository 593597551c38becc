import rateLimit from '@fastify/rate-limit'
import fp from 'fastify-plugin'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { SoakpOptions } from '../services/options.ts'
import { createCallWatch } from '../services/call-watch.ts'
import { SoakpError } from '../services/errors.ts'
import { networkOf } from '../services/networks.ts'
import type { TokenLimits } from '../services/policy.ts'
import type { AuthenticatedToken } from '../services/tokens.ts'
import { WindowStore } from '../services/window-store.ts'

/** The limits as others may call them. Each throws a `SoakpError` (429) that says how long to wait. */
export interface Limits {
  /** Counts a request of an authenticated token against its minute and its day. */
  countRequest(request: FastifyRequest, token: AuthenticatedToken): Promise<void>
  /** Refuses a call beyond the token's calls at once, or (503) beyond all that may run. */
  assertParallel(token: AuthenticatedToken): void
  /** Counts a request without a good credential; throws when its network has sent too many. */
  countRefusal(request: FastifyRequest): Promise<void>
  /** Counts a wrong admin credential. */
  countFailedLogin(request: FastifyRequest): Promise<void>
  /** Refuses before a credential is looked at where too many were wrong. */
  assertLoginAllowed(request: FastifyRequest): Promise<void>
  /** What is left of a token's limits now. */
  remaining(request: FastifyRequest, token: AuthenticatedToken): Promise<TokenLimits>
}

const MINUTE_MS = 60_000

/** Running calls are looked at this often, or more where the times that are allowed are short. */
const WATCH_MS = 1_000

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
  const failedLogins = [
    app.createRateLimit({ max: configuration.failedLoginsPerMinute, timeWindow: MINUTE_MS }),
    app.createRateLimit({
      keyGenerator: ({ ip }) => networkOf(ip),
      max: configuration.limits.networkFailedLoginsPerMinute,
      timeWindow: MINUTE_MS,
    }),
  ]
  const byRefusal = app.createRateLimit({
    keyGenerator: ({ ip }) => networkOf(ip),
    max: configuration.limits.refusedRequestsPerMinute,
    timeWindow: MINUTE_MS,
  })
  const byToken = app.createRateLimit({
    keyGenerator: (request) => request.token?.grant.token_id ?? '',
    max: (request) => request.token?.policy.limits.requests_per_minute ?? 0,
    timeWindow: MINUTE_MS,
  })

  app.addHook('onRequest', async (request) => {
    if (app.isLocalAdmin(request)) return
    assertConnected(request)
    const count = await byAddress(request)
    if (count.isAllowed || !count.isExceeded) return
    // More may wait in the same connection, and each would be read, refused and logged.
    throw tooMany('Too many requests from this address.', count.ttlInSeconds, { connection: 'close' })
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
      if (liveCalls.size >= configuration.limits.parallelRequests) throw busy()
      const most = policy.limits.parallel_requests
      if (liveCalls.count(grant.token_id) < most) return
      throw tooMany(`This token may make ${most} requests at once. Wait until one has ended.`, 1)
    },

    async countRefusal(request) {
      if (app.isLocalAdmin(request)) return
      const count = await byRefusal(request)
      if (count.isAllowed || !count.isExceeded) return
      throw tooMany('Too many requests without a good credential from this network.', count.ttlInSeconds, {
        connection: 'close',
      })
    },

    async countFailedLogin(request) {
      if (!app.isLocalAdmin(request)) await Promise.all(failedLogins.map((count) => count(request)))
    },

    async assertLoginAllowed(request) {
      if (app.isLocalAdmin(request)) return
      for (const limit of failedLogins) {
        const count = await limit(request, { increment: false })
        if (count.isAllowed || count.remaining > 0) continue
        throw tooMany('Too many wrong credentials from this address or its network.', count.ttlInSeconds)
      }
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

  const watch = createCallWatch(configuration.limits)
  const everyMs = Math.min(WATCH_MS, configuration.limits.clientIdleMs / 4, configuration.limits.callMs / 4)
  const timer = setInterval(() => watch(liveCalls.all(), performance.now()), everyMs).unref()
  app.addHook('onClose', async () => clearInterval(timer))
}

/** A client that has left has no address any more, and nobody is there to read an answer. */
function assertConnected({ socket }: FastifyRequest): void {
  if (socket.remoteAddress !== undefined) return
  throw new SoakpError(400, 'SOAKP_CLIENT_GONE', 'The client left before its request was looked at.')
}

function tooMany(message: string, seconds: number, headers: Readonly<Record<string, string>> = {}): SoakpError {
  return new SoakpError(429, 'SOAKP_LIMIT', `${message} Try again in ${seconds} s.`, {
    headers: { 'retry-after': String(seconds), ...headers },
  })
}

function busy(): SoakpError {
  const message = 'SOAKP is busy: as many calls run as may run at once. Try again in a moment.'
  return new SoakpError(503, 'SOAKP_BUSY', message, { headers: { 'retry-after': '1', 'x-should-retry': 'true' } })
}

export default fp(limits, { name: 'limits', fastify: '5.x', dependencies: ['vault'] })

declare module 'fastify' {
  interface FastifyInstance {
    readonly limits: Limits
  }
}
