import { SoakpError } from './errors.ts'

/** Headers of errors that the same call would only meet again. */
const FINAL = { 'x-should-retry': 'false' }

/**
 * Codes that OpenSSL and Node give to a certificate that proves nothing, or to an upstream that speaks no usable TLS. Node has no name for some of
 * OpenSSL's objections: a weak key is `UNSPECIFIED`.
 */
const CERTIFICATE =
  /CERT|TLS|SSL|SIGNED|UNABLE_TO|CRL|INVALID_CA|INVALID_PURPOSE|PATH_LENGTH|HOSTNAME|EPROTO|^UNSPECIFIED$/

const TIMEOUTS = ['UND_ERR_CONNECT_TIMEOUT', 'UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT', 'ETIMEDOUT']

/** Says in our words why an upstream call failed before it was answered. Clients see the sentence, logs see the cause. */
export function upstreamError(cause: unknown): SoakpError {
  if (cause instanceof SoakpError) return cause
  dropBytes(cause)
  const code = codeOf(cause)
  if (TIMEOUTS.includes(code)) return upstreamTimeout(cause)
  if (code === 'UND_ERR_INVALID_ARG') {
    const message = 'The request has a method, path or header that cannot be passed on as it is.'
    return new SoakpError(400, 'SOAKP_REQUEST_INVALID', message, { cause })
  }
  if (CERTIFICATE.test(code)) {
    const message = 'The upstream did not prove its identity: its certificate is not trusted. The key was not sent.'
    return new SoakpError(502, 'SOAKP_UPSTREAM_CERTIFICATE', message, { cause, headers: FINAL })
  }
  if (isMalformed(code, cause)) return upstreamMalformed(cause)
  return new SoakpError(502, 'SOAKP_UPSTREAM_UNREACHABLE', 'The upstream cannot be reached or broke off.', { cause })
}

/** The upstream did not answer, or not go on, in its time. */
export function upstreamTimeout(cause?: unknown): SoakpError {
  return new SoakpError(504, 'SOAKP_UPSTREAM_TIMEOUT', 'The upstream did not answer in time.', { cause })
}

/** The upstream's answer cannot be understood. */
export function upstreamMalformed(cause?: unknown): SoakpError {
  dropBytes(cause)
  return new SoakpError(502, 'SOAKP_UPSTREAM_MALFORMED', 'The upstream answered with malformed HTTP.', { cause })
}

/** The upstream answered 401: that is not the caller's token, which SOAKP has found good. */
export function keyRefused(): SoakpError {
  const message = 'The upstream refuses the key behind this token. Whoever runs this SOAKP has to replace the key.'
  return new SoakpError(502, 'SOAKP_UPSTREAM_REFUSED_KEY', message, { headers: FINAL })
}

/** The key was in the upstream's answer. */
export function keyLeaked(): SoakpError {
  const message = 'The upstream sent the key back, or what cannot be searched for it; its answer was withheld.'
  return new SoakpError(502, 'SOAKP_UPSTREAM_LEAK', message, { headers: FINAL })
}

/** The token or its key ended before the upstream answered. */
export function tokenEnded(): SoakpError {
  return new SoakpError(401, 'SOAKP_TOKEN_REFUSED', 'The token was revoked while the call was running.')
}

/**
 * Takes from a parser's error what the parser read: the key may be in it, and in somebody else's Fastify the hooks of
 * that one get errors with their causes.
 */
function dropBytes(error: unknown): void {
  if (!(error instanceof Error)) return
  // undici's name and Node's.
  for (const name of ['data', 'rawPacket']) Reflect.deleteProperty(error, name)
}

function isMalformed(code: string, cause: unknown): boolean {
  if (!(cause instanceof Error)) return false
  // The parser's error has no code, and undici says in words only that an interim answer came which nobody asked for.
  if (cause.name === 'HTTPParserError' || cause.message.startsWith('bad ')) return true
  // undici asserts that a status has a value of 100 or more, and that is where 099 fails.
  return ['UND_ERR_HEADERS_OVERFLOW', 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH', 'ERR_ASSERTION'].includes(code)
}

function codeOf(error: unknown): string {
  if (error instanceof AggregateError && error.errors.length > 0) return codeOf(error.errors[0])
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : ''
}
