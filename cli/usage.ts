import type { CommanderError } from 'commander'
import { SoakpError } from '../services/errors.ts'
import { scrub } from '../services/log-fields.ts'

/** Creates the error of a command line that cannot be meant so. */
export function usageError(message: string): SoakpError {
  return new SoakpError(400, 'SOAKP_USAGE', message)
}

const KEY = /(?:^|[=\s])sk-[\w-]{8,}/
const ADMIN_CREDENTIAL = /(?:^|[=\s])soakp_admin_[\w-]{8,}/
const TOKEN = /(?:^|[=\s])eyJ[\w-]+\.[\w-]+\.[\w-]+/

/** Refuses secrets among the arguments: the shell's history and every process of the machine see those. */
export function refuseSecrets(args: readonly string[]): void {
  if (args.some((argument) => KEY.test(argument)) || isKeyInDisguise(args)) {
    throw keyAmongArguments()
  }
  if (takesCredential(args) && args.slice(2).some((argument) => argument.includes('='))) {
    throw credentialAmongArguments()
  }
  if (args.some((argument) => ADMIN_CREDENTIAL.test(argument))) {
    throw usageError(
      "The admin credential is not needed here, and it is in the shell's history now: `soakp admin reset` makes a new one.",
    )
  }
  if (args.some((argument) => TOKEN.test(argument))) {
    throw usageError(
      "A token is named by its id, tok_…, which `soakp tokens list` shows. This one is in the shell's history now: revoke it.",
    )
  }
}

/** Keys of other providers have other prefixes; what can only be meant as a key is `keys add KEY` or `--key KEY` there. */
function isKeyInDisguise(args: readonly string[]): boolean {
  return takesKey(args) && args.some((argument) => /^--?(?:api[-_]?)?(?:key|value|secret)(?:=|$)/.test(argument))
}

/** Puts commander's complaint into our form. It quotes arguments, and those may be secrets. */
export function fromCommander({ code, message }: CommanderError, args: readonly string[]): SoakpError {
  if (code === 'commander.excessArguments') {
    if (takesCredential(args)) return credentialAmongArguments()
    return takesKey(args) ? keyAmongArguments() : usageError('There are too many arguments.')
  }
  if (code === 'commander.unknownOption' && takesCredential(args)) return credentialAmongArguments()
  const line = message
    .replace(/^error: /, '')
    .replace(/\s+/g, ' ')
    .replace(/(--[\w-]+)=[^']*/, '$1')
    .replace(/\.?$/, '.')
  return usageError(`${scrub(line.charAt(0).toUpperCase() + line.slice(1))} See \`soakp --help\`.`)
}

function takesKey([command, action]: readonly string[]): boolean {
  return command === 'keys' && (action === 'add' || action === 'replace')
}

function takesCredential([command, action]: readonly string[]): boolean {
  return command === 'dns' && action === 'set'
}

function credentialAmongArguments(): SoakpError {
  return usageError(
    "The value of a variable is never given as an argument: it is in the shell's history now, so replace it at its " +
      'provider. Then type `soakp dns set NAME` alone: the value is asked for, or read from standard input.',
  )
}

function keyAmongArguments(): SoakpError {
  return usageError(
    "A key is never given as an argument: it is in the shell's history now, so replace it at its provider. " +
      'Then run the command without it: the key is asked for, or read from standard input.',
  )
}
