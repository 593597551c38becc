import { SoakpError } from './errors.ts'

/** Says in our words why an upstream call failed before it was answered. Clients see the sentence, logs see the cause. */
export function upstreamError(cause: unknown): SoakpError {
  if (cause instanceof SoakpError) return cause
  const code = codeOf(cause)
  if (code === 'UND_ERR_CONNECT_TIMEOUT' || code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'ETIMEDOUT') {
    return new SoakpError(504, 'SOAKP_UPSTREAM_TIMEOUT', 'The upstream did not answer in time.', { cause })
  }
  if (code === 'UND_ERR_INVALID_ARG') {
    const message = 'The request has a method, path or header that cannot be passed on as it is.'
    return new SoakpError(400, 'SOAKP_REQUEST_INVALID', message, { cause })
  }
  if (/CERT|TLS|SSL|SIGNED|UNABLE_TO/.test(code)) {
    const message = 'The upstream did not prove its identity: its certificate is not trusted. The key was not sent.'
    return new SoakpError(502, 'SOAKP_UPSTREAM_CERTIFICATE', message, { cause })
  }
  if (code.startsWith('HPE_') || code === 'UND_ERR_HEADERS_OVERFLOW') {
    return new SoakpError(502, 'SOAKP_UPSTREAM_MALFORMED', 'The upstream answered with malformed HTTP.', { cause })
  }
  return new SoakpError(502, 'SOAKP_UPSTREAM_UNREACHABLE', 'The upstream cannot be reached or broke off.', { cause })
}

function codeOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return codeOf(error.errors[0])
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
}
