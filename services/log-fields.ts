/** An error as it may be logged: no properties but these, and nothing in them that looks like a credential. */
export interface LoggedError {
  readonly name: string
  readonly message: string
  readonly code?: string
  readonly stack?: string
  readonly cause?: LoggedError
}

/** Wherever it begins: in a URL `%20` stands before a key. A word too much in the log is better than a key. */
const CREDENTIAL = /(?:sk-|soakp_admin_|eyJ)[\w.-]{8,}|(?:Bearer|Basic)(?: |%20)+[\w.~+/=-]+/gi
/** Errors may name each other as their causes in a circle. */
const MOST_CAUSES = 8

/** Describes an error for the log, its causes included. */
export function describeError(error: unknown): LoggedError {
  return describe(error, MOST_CAUSES)
}

function describe(error: unknown, causes: number): LoggedError {
  if (!(error instanceof Error)) return { name: typeof error, message: 'not an error' }
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined
  return {
    name: error.name,
    message: scrub(error.message),
    ...(code !== undefined && { code }),
    ...(error.stack !== undefined && { stack: scrub(error.stack) }),
    ...(error.cause !== undefined && causes > 0 && { cause: describe(error.cause, causes - 1) }),
  }
}

/** Replaces everything that looks like a key, a token or an admin credential. */
export function scrub(text: string): string {
  return text.replace(CREDENTIAL, '[secret]')
}
