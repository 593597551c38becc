/** An error as it may be logged: no properties but these, and nothing in them that looks like a credential. */
export interface LoggedError {
  readonly name: string
  readonly message: string
  readonly code?: string
  readonly stack?: string
  readonly cause?: LoggedError
}

const CREDENTIAL = /\b(?:sk-|soakp_admin_|eyJ)[\w.-]{8,}|\b(?:Bearer|Basic) +[\w.~+/=-]+/g

/** Describes an error for the log, its causes included. */
export function describeError(error: unknown): LoggedError {
  if (!(error instanceof Error)) return { name: typeof error, message: 'not an error' }
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined
  return {
    name: error.name,
    message: scrub(error.message),
    ...(code !== undefined && { code }),
    ...(error.stack !== undefined && { stack: scrub(error.stack) }),
    ...(error.cause !== undefined && { cause: describeError(error.cause) }),
  }
}

/** Replaces everything that looks like a key, a token or an admin credential. */
export function scrub(text: string): string {
  return text.replace(CREDENTIAL, '[secret]')
}
