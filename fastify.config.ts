import { existsSync, realpathSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import Fastify, { LogController } from 'fastify'
import type { FastifyInstance, FastifyServerOptions } from 'fastify'
import fp from 'fastify-plugin'
import auth from './plugins/auth.ts'
import certificateCheck from './plugins/certificate-check.ts'
import certificates from './plugins/certificates.ts'
import connections from './plugins/connections.ts'
import control from './plugins/control.ts'
import cors from './plugins/cors.ts'
import docs from './plugins/docs.ts'
import drain from './plugins/drain.ts'
import expectations from './plugins/expectations.ts'
import failures, { answerNotFound, answerRouterError, refuseUnknownPath } from './plugins/failures.ts'
import gate from './plugins/gate.ts'
import limits from './plugins/limits.ts'
import lingering from './plugins/lingering.ts'
import metrics from './plugins/metrics.ts'
import ownAnswers from './plugins/own-answers.ts'
import ownBodies from './plugins/own-bodies.ts'
import proxy from './plugins/proxy.ts'
import requestLog from './plugins/request-log.ts'
import sessions from './plugins/sessions.ts'
import sockets from './plugins/sockets.ts'
import tls from './plugins/tls.ts'
import vault from './plugins/vault.ts'
import admin from './routes/admin.ts'
import certificateRoutes from './routes/certificates.ts'
import dns from './routes/dns.ts'
import health from './routes/health.ts'
import jwt from './routes/jwt.ts'
import keys from './routes/keys.ts'
import me from './routes/me.ts'
import metricsRoute from './routes/metrics.ts'
import openapi from './routes/openapi.ts'
import tokens from './routes/tokens.ts'
import { answerClientError } from './services/client-error.ts'
import { SoakpError } from './services/errors.ts'
import { newRequestId } from './services/identifiers.ts'
import { createLogger } from './services/logger.ts'
import { nodeVersionFault } from './services/node-version.ts'
import type { SoakpOptions } from './services/options.ts'
import { KEEP_ALIVE_MS, httpOptions, httpsOptions } from './services/server-options.ts'
import { createValidatorCompiler } from './services/validation.ts'

const BODY_BYTES = 1_048_576

/** SOAKP's plugins in order, then its routes by who may use them. Nothing here reaches beyond its own scope. */
async function soakp(app: FastifyInstance, options: SoakpOptions): Promise<void> {
  app.setValidatorCompiler(createValidatorCompiler())
  app.removeAllContentTypeParsers()
  const parseJson = app.getDefaultJsonParser('error', 'error')
  app.addContentTypeParser<string>(
    'application/json',
    { parseAs: 'string', bodyLimit: BODY_BYTES },
    (request, body, done) => {
      // Many clients name the type without sending a body; a route that needs one says so.
      if (body === '') done(null, undefined)
      else void parseJson(request, body, done)
    },
  )
  await app.register(requestLog)
  await app.register(failures)
  await app.register(ownAnswers)
  await app.register(ownBodies, options)
  await app.register(gate, options)
  await app.register(vault, options)
  await app.register(certificates, options)
  await app.register(certificateCheck, options)
  await app.register(metrics)
  await app.register(limits, options)
  await app.register(control, options)
  await app.register(auth, options)
  await app.register(cors, options)
  await app.register(docs)
  await app.register(sockets, options)
  await app.register(proxy, options)

  await app.register(
    async (everyone) => {
      await everyone.register(health)
      await everyone.register(openapi)
    },
    { prefix: '/soakp' },
  )
  await app.register(
    async (caller) => {
      caller.addHook('onRequest', app.browserAccess.answerCors)
      caller.addHook('onSend', app.browserAccess.exposeErrors)
      caller.addHook('onRequest', app.authentication.requireToken)
      caller.options('/me', async () => undefined)
      await caller.register(me)
    },
    { prefix: '/soakp' },
  )
  await app.register(
    async (management) => {
      management.addHook('onRequest', app.browserAccess.refuseForeignOrigin)
      management.addHook('onRequest', app.authentication.requireAdmin)
      management.addHook('preParsing', app.limitBodyTime)
      await management.register(keys)
      await management.register(tokens)
      await management.register(admin)
      await management.register(certificateRoutes)
      await management.register(dns)
      await management.register(metricsRoute)
    },
    { prefix: '/soakp' },
  )
  await app.register(async (legacy) => {
    legacy.addHook('onRequest', app.browserAccess.refuseForeignOrigin)
    legacy.addHook('onRequest', app.authentication.requireBasic)
    legacy.addHook('preParsing', app.limitBodyTime)
    await legacy.register(jwt)
  })
}

/** SOAKP beside the routes of somebody else's Fastify, to which it does nothing. TLS, draining and 404 are that one's. */
async function guest(app: FastifyInstance, options: SoakpOptions): Promise<void> {
  if (app.prefix !== '') {
    const message = 'SOAKP has its paths /v1, /openai and /soakp from the root: register it without a prefix.'
    throw new SoakpError(500, 'SOAKP_PREFIX', message)
  }
  if (app.hasDecorator('createRateLimit')) {
    // The package would use the host's limiter here, with the host's store and exceptions.
    throw new SoakpError(500, 'SOAKP_ORDER', 'Register SOAKP before @fastify/rate-limit.')
  }
  await soakp(app, options)
}

export default fp(guest, { name: 'soakp', fastify: '5.x', encapsulate: true })

/** Creates the server with everything registered and nothing listening yet. */
export async function createServer(options: SoakpOptions): Promise<FastifyInstance> {
  const app = Fastify(serverOptions(options))
  app.setNotFoundHandler(answerNotFound)
  try {
    await app.register(connections, options)
    await app.register(sessions, options)
    await app.register(lingering, options)
    await app.register(expectations)
    await app.register(drain, options)
    await app.register(fp(soakp, { name: 'soakp', fastify: '5.x' }), options)
    app.addHook('onRequest', refuseUnknownPath)
    await app.register(tls, options)
    await app.ready()
    return app
  } catch (error) {
    await app.close()
    throw error
  }
}

/** Fastify's options. Each one that matters for security is stated, even where today's default is right. */
function serverOptions({ configuration, logStream }: SoakpOptions): FastifyServerOptions {
  const { limits: most, logLevel, tls: settings, trustedProxies } = configuration
  const options = {
    loggerInstance: createLogger(logLevel, logStream),
    logController: new LogController({ disableRequestLogging: true, requestIdLogLabel: 'request_id' }),
    genReqId: newRequestId,
    requestIdHeader: false,
    trustProxy: trustedProxies.length === 0 ? false : [...trustedProxies],
    bodyLimit: BODY_BYTES,
    requestTimeout: 0,
    keepAliveTimeout: KEEP_ALIVE_MS,
    http2SessionTimeout: KEEP_ALIVE_MS,
    forceCloseConnections: 'idle',
    exposeHeadRoutes: false,
    onProtoPoisoning: 'error',
    onConstructorPoisoning: 'error',
    frameworkErrors: answerRouterError,
    clientErrorHandler: answerClientError,
    routerOptions: {
      caseSensitive: true,
      ignoreTrailingSlash: false,
      ignoreDuplicateSlashes: false,
      maxParamLength: 200,
    },
  } as const
  if (settings.mode === 'off') return { ...options, http: httpOptions(most) } as FastifyServerOptions
  return { ...options, http2: true, https: httpsOptions(most) } as unknown as FastifyServerOptions
}

const [, entry] = process.argv
// With `node -e … word` the entry is no file.
if (entry !== undefined && existsSync(entry) && realpathSync(entry) === fileURLToPath(import.meta.url)) {
  const fault = nodeVersionFault(process.versions.node)
  if (fault !== undefined) {
    process.stderr.write(`soakp: ${fault}\n`)
    process.exit(1)
  }
  // Not awaited: cli/serve.ts imports this module, which has to be evaluated first.
  void import('./cli/serve.ts').then(({ serve }) => serve())
}
