import { CommanderError } from 'commander'
import { EXIT, reportFailure } from './failures.ts'
import { createProgram } from './program.ts'
import { fromCommander, refuseSecrets } from './usage.ts'

/** Runs the `soakp` command and sets the process's exit code. */
export async function main(args: readonly string[]): Promise<void> {
  // Whoever reads the output may have seen enough: `soakp keys list | head -1`.
  process.stdout.on('error', () => undefined)
  try {
    refuseSecrets(args)
    await createProgram().parseAsync([...args], { from: 'user' })
  } catch (error) {
    if (error instanceof CommanderError && isHelp(error)) {
      process.exitCode = error.exitCode === 0 ? 0 : EXIT.usage
      return
    }
    const failure = error instanceof CommanderError ? fromCommander(error, args) : error
    process.exitCode = reportFailure(failure, args.includes('--json'))
  }
}

/** Commander ends so, too, when it has printed a help text or the version: there is nothing to add. */
function isHelp({ code }: CommanderError): boolean {
  return code === 'commander.help' || code === 'commander.helpDisplayed' || code === 'commander.version'
}
