import fp from 'fastify-plugin'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { SoakpOptions } from '../services/options.ts'
import { isLoopbackHost } from '../services/base-url.ts'
import { corsHeaders, preflightHeaders } from '../services/cors.ts'
import { SoakpError } from '../services/errors.ts'
import { createOrigins } from '../services/origins.ts'
import { assertOriginAllowed } from '../services/policy.ts'

/** Hooks for what comes from browsers. */
export interface BrowserAccess {
  /** `onRequest` hook: answers preflights and gives answers to pages of allowed origins, errors too, their headers. */
  readonly answerCors: (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply | undefined>
  /** Gives an answer to a page of an allowed origin its headers, unless it has them. */
  readonly exposeTo: (request: FastifyRequest, reply: FastifyReply) => void
  /** `onSend` hook beside it: gives the headers to errors that came before, such as too many requests of an address. */
  readonly exposeErrors: (request: FastifyRequest, reply: FastifyReply, payload: unknown) => Promise<unknown>
  /** Refuses a page whose origin neither the operator nor the request's token allows. Runs after the token is known. */
  readonly assertOrigin: (request: FastifyRequest) => void
  /** `onRequest` hook of management: refuses requests of pages that are not served from here. */
  readonly refuseForeignOrigin: (request: FastifyRequest) => Promise<void>
}

/** Provides the hooks for requests from browsers. */
async function cors(app: FastifyInstance, { configuration }: SoakpOptions): Promise<void> {
  const { now, store } = app.unsealed
  // Behind a proxy, loopback is where everybody's requests come from.
  const isLocal = isLoopbackHost(configuration.host) && configuration.trustedProxies.length === 0
  const origins = createOrigins(store, configuration.allowedOrigins, isLocal, now)

  /** Only what is passed on and the caller's own route are for pages. */
  function exposeTo({ headers: { origin }, raw: { url = '' } }: FastifyRequest, reply: FastifyReply): void {
    if (origin === undefined || !FOR_PAGES.test(url) || reply.hasHeader('access-control-allow-origin')) return
    if (origins.mayRead(origin)) reply.headers(corsHeaders(origin))
  }

  app.decorate('browserAccess', {
    async answerCors({ method, headers }, reply) {
      const { origin } = headers
      if (origin === undefined) return undefined
      const isAllowed = origins.mayRead(origin)
      const isPreflight = method === 'OPTIONS' && headers['access-control-request-method'] !== undefined
      if (isPreflight) {
        if (!isAllowed) throw originRefused(origin)
        return reply.code(204).headers(preflightHeaders(origin, headers['access-control-request-headers'])).send()
      }
      if (isAllowed) reply.headers(corsHeaders(origin))
      return undefined
    },

    exposeTo,

    async exposeErrors(request, reply, payload) {
      exposeTo(request, reply)
      return payload
    },

    assertOrigin({ headers: { origin }, token }) {
      if (token !== undefined && token.policy.origins.length > 0) assertOriginAllowed(token.policy, origin)
      else if (origin !== undefined && !origins.isGenerallyAllowed(origin)) throw originRefused(origin)
    },

    async refuseForeignOrigin({ headers, protocol, host }) {
      if (headers.origin === undefined || headers.origin === `${protocol}://${host}`) return
      const message = 'Management routes are not for web pages. Call them from a server or the command line.'
      throw new SoakpError(403, 'SOAKP_ORIGIN_REFUSED', message)
    },
  } satisfies BrowserAccess)
}

const FOR_PAGES = /^\/(?:v1|openai|soakp\/me)(?:[/?]|$)/

function originRefused(origin: string): SoakpError {
  const message = `Pages of ${origin} may not call. Add the origin to SOAKP_ALLOWED_ORIGINS or to the token's origins.`
  return new SoakpError(403, 'SOAKP_ORIGIN_REFUSED', message)
}

export default fp(cors, { name: 'cors', fastify: '5.x', dependencies: ['vault'] })

declare module 'fastify' {
  interface FastifyInstance {
    readonly browserAccess: BrowserAccess
  }
}
