/** What may be added to an error: the field it is about, headers of the answer, and the error behind it. */
export interface ErrorDetails {
  readonly param?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly cause?: unknown
}

/**
 * Keys, tokens and admin credentials by how they begin, and the user and password of a URL. Messages repeat what was
 * given, and it may have been given in the wrong place.
 */
const SECRET = /(?<![\w-])(?:sk-|soakp_admin_|eyJ)[\w.-]{8,}|(?<=:\/\/)[^\s/"]+(?=@)/g

/**
 * An error whose message is written for the caller: it says what to do and holds no secret.
 * `code` is stable, `statusCode` is the HTTP status it is answered with.
 */
export class SoakpError extends Error {
  override readonly name = 'SoakpError'
  readonly code: string
  readonly statusCode: number
  readonly param: string | undefined
  readonly headers: Readonly<Record<string, string>>

  constructor(statusCode: number, code: string, message: string, details: ErrorDetails = {}) {
    super(message.replace(SECRET, '[secret]'), details.cause === undefined ? undefined : { cause: details.cause })
    this.code = code
    this.statusCode = statusCode
    this.param = details.param
    this.headers = details.headers ?? {}
  }
}

/** Tells whether `error` is a system or library error with this `code`, such as `ENOENT`. */
export function hasErrorCode(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
