import fp from 'fastify-plugin'
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest, FastifySchemaValidationError } from 'fastify'
import { logEnd } from './request-log.ts'
import { SoakpError } from '../services/errors.ts'
import { describeError } from '../services/log-fields.ts'
import { storeFault } from '../services/store-fault.ts'

/** Answers every error in OpenAI's envelope. */
async function failures(app: FastifyInstance): Promise<void> {
  app.setErrorHandler(answerError)
}

/** Answers what no route takes. */
export function answerNotFound(request: FastifyRequest, reply: FastifyReply): FastifyReply {
  return answerError(notFound(), request, reply)
}

/** `onRequest` hook that refuses what no route takes: Fastify would wait for the body first, however long that takes. */
export async function refuseUnknownPath(request: FastifyRequest): Promise<void> {
  if (request.is404) throw notFound()
}

function notFound(): SoakpError {
  const message = 'There is nothing here. OpenAI calls go to /v1, SOAKP itself is at /soakp.'
  return new SoakpError(404, 'SOAKP_NOT_FOUND', message)
}

/** Answers errors of Fastify's router, before which no hook has run and after which none will. */
export function answerRouterError(error: FastifyError, request: FastifyRequest, reply: FastifyReply): void {
  request.logFields = {}
  // Pages may read this error as they may read others.
  if (request.server.hasDecorator('browserAccess')) request.server.browserAccess.exposeTo(request, reply)
  void answerError(error, request, reply)
  logEnd(request, reply)
}

function answerError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const known = error instanceof SoakpError ? error : (storeFault(error) ?? foreignError(error))
  // A hook of somebody else's Fastify may refuse before ours have run.
  request.logFields = { ...request.logFields, code: known.code }
  const isServerError = known.statusCode >= 500
  // Refusals by Fastify are left out: they repeat paths.
  if (known === error ? known.cause !== undefined : isServerError) {
    request.log[isServerError ? 'error' : 'debug']({ code: known.code, error: describeError(error) }, 'request failed')
  }
  return sendError(reply, known)
}

function sendError(reply: FastifyReply, error: SoakpError): FastifyReply {
  const { statusCode, code, message, param } = error
  // The SDKs retry 408, 409, 429 and 5xx unless told not to; a refusal would only come again.
  if (statusCode < 500) reply.header('x-should-retry', 'false')
  return reply
    .code(statusCode)
    .headers(error.headers)
    .header('x-request-id', reply.request.id)
    .send({
      error: { message, type: typeOf(statusCode), code, param: param ?? null },
    })
}

/** Puts Fastify's own refusals into our words; anything unknown is answered without detail. */
function foreignError(error: unknown): SoakpError {
  const { statusCode = 500, code = '', validation } = Object(error) as Partial<FastifyError>
  if (validation !== undefined) return invalidField(validation[0])
  const [ownCode, message] = REFUSALS[code] ?? []
  if (ownCode !== undefined && message !== undefined) return new SoakpError(statusCode, ownCode, message)
  if (statusCode >= 400 && statusCode < 500) {
    return new SoakpError(statusCode, 'SOAKP_REQUEST_INVALID', NOT_VALID)
  }
  return new SoakpError(500, 'SOAKP_INTERNAL', 'Something failed inside SOAKP. The log has it under this request id.')
}

/** What http-proxy refuses has no code of its own. */
const NOT_VALID = 'The request is not valid. Under /v1, a path must have no dot segments (..) and no backslashes.'

/** Fastify's own messages repeat what was sent, so each has ours. */
const REFUSALS: Readonly<Record<string, readonly [code: string, message: string]>> = {
  FST_ERR_BAD_URL: ['SOAKP_PATH_INVALID', 'The path is not well-formed: write % as %25.'],
  FST_ERR_MAX_PARAM_LENGTH: ['SOAKP_PATH_INVALID', 'A part of the path is too long.'],
  FST_ERR_CTP_BODY_TOO_LARGE: ['SOAKP_BODY_TOO_LARGE', 'The body is larger than 1 MiB.'],
  FST_ERR_CTP_EMPTY_JSON_BODY: ['SOAKP_BODY_INVALID', 'The body is empty. Send JSON, or no Content-Type.'],
  FST_ERR_CTP_INVALID_JSON_BODY: ['SOAKP_BODY_INVALID', 'The body is no JSON.'],
  FST_ERR_CTP_INVALID_CONTENT_LENGTH: ['SOAKP_BODY_INVALID', 'The body is not as long as Content-Length says.'],
  FST_ERR_CTP_INVALID_MEDIA_TYPE: [
    'SOAKP_CONTENT_TYPE',
    'The Content-Type is not one that is taken here. SOAKP itself takes application/json; under /v1 any media type passes.',
  ],
}

/** Says what is wrong with a field. Its value is not repeated, nor is a name that could be a key in the wrong place. */
function invalidField(fault: FastifySchemaValidationError | undefined): SoakpError {
  const { instancePath = '', params = {}, keyword, message = 'is not valid' } = fault ?? {}
  const path = instancePath.split('/').slice(1)
  if (keyword === 'required') return invalid([...path, String(params['missingProperty'])], 'is missing')
  if (keyword !== 'additionalProperties') return invalid(path, message)
  const name = String(params['additionalProperty'])
  return /^[a-z_]{1,40}$/i.test(name)
    ? invalid([...path, name], 'is not known here')
    : invalid([], 'has unknown fields')
}

function invalid(path: readonly string[], what: string): SoakpError {
  const param = path.join('.')
  return new SoakpError(400, 'SOAKP_REQUEST_INVALID', `${param || 'The body'} ${what}.`, param === '' ? {} : { param })
}

function typeOf(statusCode: number): string {
  if (statusCode === 401) return 'authentication_error'
  if (statusCode === 403) return 'permission_error'
  if (statusCode === 429) return 'rate_limit_error'
  return statusCode < 500 ? 'invalid_request_error' : 'server_error'
}

export default fp(failures, { name: 'failures', fastify: '5.x', dependencies: ['request-log'] })
