import { SoakpError } from './errors.ts'

/** SQLite's result codes for what the system did not write or read: `SQLITE_FULL`, `SQLITE_IOERR_WRITE` and its like. */
const DISK_FAULT = /^SQLITE_(?:FULL|IOERR(?:_\w+)?)$/

/** Returns what to tell an operator of an error of the store; undefined for errors that say nothing about its disk. */
export function storeFault(error: unknown): SoakpError | undefined {
  const { code } = Object(error) as { code?: unknown }
  if (typeof code !== 'string' || !DISK_FAULT.test(code)) return undefined
  const message =
    'SOAKP could not use its data folder, and nothing has changed: the disk is full or fails. Make space, then repeat the request.'
  // Insufficient Storage, RFC 4918 section 11.5.
  return new SoakpError(507, 'SOAKP_STORE_FULL', message, { cause: error })
}
