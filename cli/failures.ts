import { SoakpError, hasErrorCode } from '../services/errors.ts'

/** Prints one line that says what to do, and ends the process with exit code 1. */
export function failWith(error: unknown): never {
  process.stderr.write(`soakp: ${sentence(error)}\n`)
  process.exit(1)
}

function sentence(error: unknown): string {
  if (error instanceof SoakpError) return error.message
  if (hasErrorCode(error, 'EADDRINUSE')) {
    return `${placeOf(error)} is in use by another program. Stop it, or set SOAKP_PORT to another port.`
  }
  if (hasErrorCode(error, 'EACCES')) {
    return `${placeOf(error)} may not be used by this user. Set SOAKP_PORT to 1024 or more, or grant the port.`
  }
  if (hasErrorCode(error, 'EADDRNOTAVAIL') || hasErrorCode(error, 'ENOTFOUND')) {
    return 'SOAKP_HOST is no address of this machine. Use 127.0.0.1, or 0.0.0.0 for all.'
  }
  return error instanceof Error ? `${error.message} (an error of SOAKP: please report it)` : String(error)
}

function placeOf(error: unknown): string {
  const { address, port } = error as { address?: string; port?: number }
  return port === undefined ? 'The address' : `Port ${port} on ${address ?? 'this machine'}`
}
