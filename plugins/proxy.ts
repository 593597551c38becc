import { METHODS } from 'node:http'
import httpProxy from '@fastify/http-proxy'
import fp from 'fastify-plugin'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Configuration } from '../services/configuration.ts'
import type { SoakpOptions } from '../services/options.ts'
import { logEnd } from './request-log.ts'
import { SoakpError } from '../services/errors.ts'
import { assertLength } from '../services/body-meter.ts'
import { requestHeaders } from '../services/headers.ts'
import { isHttp2 } from '../services/http2.ts'
import { describeError } from '../services/log-fields.ts'
import { assertAllowed } from '../services/policy.ts'
import { relay } from '../services/relay.ts'
import { parseSubprotocols } from '../services/subprotocols.ts'
import type { OpenedKey } from '../services/vault.ts'

/** `/v1/x` and, for users of the 2023 soakp, `/openai/x` go to the key's base URL + `/x`. */
const PREFIXES = ['/v1', '/openai']

/** A tunnel (CONNECT) and an echo of the request (TRACE) are nothing to pass on with a key. */
const PASSED_METHODS = METHODS.filter((method) => method !== 'CONNECT' && method !== 'TRACE')

/** Passes calls on to the upstream of the token's key. @fastify/http-proxy owns the routes, `relay` the transport. */
async function proxy(app: FastifyInstance, { configuration }: SoakpOptions): Promise<void> {
  for (const method of PASSED_METHODS) {
    if (!app.supportedMethods.includes(method)) app.addHttpMethod(method, { hasBody: true })
  }
  for (const prefix of PREFIXES) {
    await app.register(async (scope) => {
      // Fastify's own parsers would take JSON and text before the proxy's catch-all does.
      scope.removeAllContentTypeParsers()
      scope.addHook('onSend', app.browserAccess.exposeErrors)
      scope.addHook('onRequest', app.browserAccess.answerCors)
      scope.addHook('onRequest', app.authentication.requireToken)
      scope.addHook('onRequest', async ({ method, raw }) => {
        // Fastify refuses a QUERY without a type itself (RFC 10008 section 2); the upstream gets the raw headers.
        if (method === 'QUERY') raw.headers['content-type'] ??= 'application/octet-stream'
      })
      scope.addHook('onRequest', (request) => admit(app, request, prefix, configuration.limits.bodyBytes))
      await scope.register(httpProxy, {
        prefix,
        upstream: configuration.upstream,
        httpMethods: PASSED_METHODS,
        disableCache: true,
        retryMethods: [],
        undici: { connect: { rejectUnauthorized: true } },
        handler: (request, reply) => pass(app, request, reply, prefix, configuration),
      })
    })
  }
}

/** Everything that can be refused without the body. */
async function admit(app: FastifyInstance, request: FastifyRequest, prefix: string, bodyBytes: number): Promise<void> {
  const token = request.authenticatedToken()
  app.browserAccess.assertOrigin(request)
  const [path = ''] = targetAfter(request, prefix).split('?', 1)
  assertAllowed(token.policy, { method: request.method, path, origin: request.headers.origin })
  assertLength(request.headers['content-length'], bodyBytes)
  app.limits.assertParallel(token)
  await app.limits.countRequest(request, token)
}

async function pass(
  app: FastifyInstance,
  request: FastifyRequest,
  reply: FastifyReply,
  prefix: string,
  { limits, upstreamAnswerMs: answerMs }: Configuration,
): Promise<void> {
  const token = request.authenticatedToken()
  const { grant } = token
  const mostBytes = limits.bodyBytes
  app.limits.assertParallel(token)
  const opened = app.unsealed.vault.open({ ...grant, id: grant.key_id })
  const { origin, pathname } = new URL(grant.base_url)
  const upstream = { origin, path: pathname + targetAfter(request, prefix) }
  try {
    if (app.sockets.isUpgrade(request)) await passSocket(app, request, reply, opened, upstream)
    else await passCall(app, request, reply, opened, { ...upstream, mostBytes, answerMs })
  } catch (error) {
    if (error instanceof SoakpError && error.code === 'SOAKP_UPSTREAM_REFUSED_KEY') {
      request.log.error({ key: grant.key_id }, 'the upstream refuses this key: replace it (soakp keys replace)')
    }
    throw error
  }
}

/** Where a call goes: the upstream's origin, and its path and query byte for byte. */
interface UpstreamTarget {
  readonly origin: string
  readonly path: string
}

async function passCall(
  app: FastifyInstance,
  request: FastifyRequest,
  reply: FastifyReply,
  { key, organization, project }: OpenedKey,
  upstream: UpstreamTarget & { readonly mostBytes: number; readonly answerMs: number },
): Promise<void> {
  const { liveCalls } = app.unsealed
  const { grant } = request.authenticatedToken()
  const authorization = `Bearer ${key.reveal()}`
  endWithClient(request)
  const call = relay(app.unsealed, {
    ...upstream,
    request: request.raw,
    response: reply.raw,
    headers: requestHeaders(request.raw.rawHeaders, { authorization, organization, project }),
    answerHeaders: Object.entries(reply.getHeaders()).flatMap(([name, value]) => [name, String(value)]),
    key: key.reveal(),
    beforeHead() {
      reply.hijack()
      request.isPassedOn = true
    },
  })
  const leave = liveCalls.add(grant.token_id, grant.key_id, call.end, call.owes)
  try {
    const { end, bytes, cause } = await call.outcome
    Object.assign(request.logFields, { end, bytes }, cause !== undefined && { error: describeError(cause) })
    logEnd(request, reply)
  } finally {
    leave()
  }
}

/** Of a reset of HTTP/2 with NO_ERROR nothing but this tells. In somebody else's Fastify nobody else listens. */
function endWithClient({ raw }: FastifyRequest): void {
  if (isHttp2(raw)) raw.stream.once('aborted', () => process.nextTick(() => raw.stream.destroy()))
}

/** A browser names organization and project by subprotocols; those that were saved with the key win here, too. */
async function passSocket(
  app: FastifyInstance,
  request: FastifyRequest,
  reply: FastifyReply,
  { key, ...account }: OpenedKey,
  upstream: UpstreamTarget,
): Promise<void> {
  const { grant } = request.authenticatedToken()
  const named = parseSubprotocols(request.headers['sec-websocket-protocol'])
  const headers = requestHeaders(request.raw.rawHeaders, {
    authorization: `Bearer ${key.reveal()}`,
    organization: account.organization ?? named.organization,
    project: account.project ?? named.project,
  })
  await app.sockets.pass(request, reply, {
    ...upstream,
    protocols: named.offered,
    headers,
    connect: app.unsealed.connectTo(upstream.origin),
    key: key.reveal(),
    tokenId: grant.token_id,
    keyId: grant.key_id,
  })
}

/** Returns what follows the prefix in the request target, byte for byte. */
function targetAfter({ raw }: FastifyRequest, prefix: string): string {
  const target = raw.url ?? ''
  const rest = target.slice(prefix.length)
  if (target.startsWith(prefix) && /^(?:[/?]|$)/.test(rest)) return rest
  // The router decodes before it matches: `/%761/models` would arrive here as well.
  throw new SoakpError(404, 'SOAKP_NOT_FOUND', `Write the beginning of the path as it is: ${prefix}/`)
}

export default fp(proxy, {
  name: 'proxy',
  fastify: '5.x',
  dependencies: ['vault', 'auth', 'limits', 'cors', 'sockets'],
})
