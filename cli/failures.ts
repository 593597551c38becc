import { SoakpError, hasErrorCode } from '../services/errors.ts'
import { scrub } from '../services/log-fields.ts'
import { RefusedCall } from './connection.ts'
import { refusedPort, takenPort } from './refused-port.ts'

/** Exit codes of the command, as its help lists them. */
export const EXIT = { failed: 1, usage: 2, notFound: 3, keyDoesNotWork: 4, interrupted: 130 } as const

/** Prints one line that says what to do, and ends the process with exit code 1. */
export function failWith(error: unknown): never {
  process.stderr.write(`soakp: ${sentenceOf(error)}\n`)
  process.exit(EXIT.failed)
}

/** Prints an error as a line or, with `isJson`, in the API's envelope, and returns the exit code. */
export function reportFailure(error: unknown, isJson: boolean): number {
  if (isCancelled(error)) return EXIT.interrupted
  process.stderr.write(isJson ? `${envelopeOf(error)}\n` : `soakp: ${sentenceOf(error)}\n`)
  if (!(error instanceof SoakpError)) return EXIT.failed
  if (error.code === 'SOAKP_USAGE') return EXIT.usage
  return error.statusCode === 404 ? EXIT.notFound : EXIT.failed
}

/** Puts the words of the HTTP surface into those of the command. */
export function inCommands(sentence: string): string {
  return sentence
    .replace('GET /soakp/keys lists', '`soakp keys list` lists')
    .replace('GET /soakp/tokens lists', '`soakp tokens list` lists')
    .replace('GET /soakp/dns/providers lists', '`soakp dns providers` lists')
    .replace(/PUT \/soakp\/keys\/(\S+?)\/value/, '`soakp keys replace $1`')
}

function envelopeOf(error: unknown): string {
  if (error instanceof RefusedCall) return error.answer
  const known = error instanceof SoakpError ? error : new SoakpError(500, 'SOAKP_INTERNAL', sentenceOf(error))
  const { message, code, param = null, statusCode } = known
  const type = statusCode < 500 ? 'invalid_request_error' : 'server_error'
  return JSON.stringify({ error: { message, type, code, param } })
}

function sentenceOf(error: unknown): string {
  if (error instanceof SoakpError) return inCommands(error.message)
  if (hasErrorCode(error, 'EADDRINUSE')) return takenPort(error)
  if (hasErrorCode(error, 'EACCES') && isAboutListening(error)) return refusedPort(error)
  if (hasErrorCode(error, 'EADDRNOTAVAIL') || hasErrorCode(error, 'ENOTFOUND')) {
    return 'SOAKP_HOST is no address of this machine. Use 127.0.0.1, or 0.0.0.0 for all.'
  }
  const message = error instanceof Error ? error.message : String(error)
  if (error instanceof Error && 'path' in error) return scrub(`${message}.`)
  return `${scrub(message)} (an error of SOAKP: please report it)`
}

function isAboutListening(error: unknown): boolean {
  return (error as { syscall?: string }).syscall === 'listen'
}

/** Ctrl-C at a prompt: whoever pressed it knows. */
function isCancelled(error: unknown): boolean {
  return error instanceof Error && (error.name === 'ExitPromptError' || error.name === 'AbortError')
}
