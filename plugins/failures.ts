import fp from 'fastify-plugin'
import type { FastifyError, FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { describeError } from '../services/log-fields.ts'
import { SoakpError } from '../services/errors.ts'

/** Answers every error in OpenAI's envelope, and unknown paths too. */
async function failures(app: FastifyInstance): Promise<void> {
  app.setErrorHandler(answerError)
  app.setNotFoundHandler((_request, reply) => {
    const message = 'There is nothing here. OpenAI calls go to /v1, SOAKP itself is at /soakp.'
    return sendError(reply, new SoakpError(404, 'SOAKP_NOT_FOUND', message))
  })
}

/** Answers errors of Fastify's router, which never reach the error handler. */
export function answerRouterError(error: FastifyError, request: FastifyRequest, reply: FastifyReply): void {
  void answerError(error, request, reply)
}

function answerError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const known = error instanceof SoakpError ? error : foreignError(error)
  request.logFields.code = known.code
  if (known !== error || known.cause !== undefined) {
    const level = known.statusCode >= 500 ? 'error' : 'debug'
    request.log[level]({ code: known.code, error: describeError(error) }, 'request failed')
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
    .send({ error: { message, type: typeOf(statusCode), code, param: param ?? null } })
}

/** Puts Fastify's own refusals into our words; anything unknown is answered without detail. */
function foreignError(error: unknown): SoakpError {
  const { statusCode, code, message, validation } = error as Partial<FastifyError>
  if (validation !== undefined) {
    const [first] = validation
    const missing = first?.params['missingProperty'] ?? first?.params['additionalProperty']
    const path = [first?.instancePath.replace(/^\//, '').replaceAll('/', '.'), missing].filter(Boolean).join('.')
    return new SoakpError(400, 'SOAKP_REQUEST_INVALID', `${path || 'The body'}: ${first?.message ?? 'is not valid'}.`, {
      ...(path !== '' && { param: path }),
    })
  }
  if (statusCode === 415) {
    const text = 'Send the body as JSON, with the header Content-Type: application/json.'
    return new SoakpError(415, 'SOAKP_CONTENT_TYPE', text)
  }
  if (code === 'FST_ERR_CTP_INVALID_JSON_BODY') return new SoakpError(400, 'SOAKP_BODY_INVALID', 'The body is no JSON.')
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500 && code?.startsWith('FST_') === true) {
    return new SoakpError(statusCode, 'SOAKP_REQUEST_INVALID', message ?? 'The request is not valid.')
  }
  if (statusCode === 400) return new SoakpError(400, 'SOAKP_REQUEST_INVALID', 'The request is not valid.')
  return new SoakpError(500, 'SOAKP_INTERNAL', 'Something failed inside SOAKP. The log has it under this request id.')
}

function typeOf(statusCode: number): string {
  if (statusCode === 401) return 'authentication_error'
  if (statusCode === 403) return 'permission_error'
  if (statusCode === 429) return 'rate_limit_error'
  return statusCode < 500 ? 'invalid_request_error' : 'server_error'
}

export default fp(failures, { name: 'failures', fastify: '5.x', dependencies: ['request-log'] })
