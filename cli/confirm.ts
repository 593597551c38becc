import { createInterface } from 'node:readline/promises'
import { SoakpError } from '../services/errors.ts'

/** Asks on a terminal before something is ended for good; without a terminal, or with `--yes`, nobody is asked. */
export async function confirm(question: string, isYes: boolean | undefined): Promise<void> {
  if (isYes === true || !process.stdin.isTTY) return
  const terminal = createInterface({ input: process.stdin, output: process.stderr })
  const ended = new Promise<string>((resolve) => terminal.once('close', () => resolve('\n')))
  const answer = await Promise.race([terminal.question(`${question} [y/N] `), ended])
  terminal.close()
  // Ctrl-C and Ctrl-D leave the cursor behind the question.
  if (answer === '\n') process.stderr.write(answer)
  if (/^y(?:es)?$/i.test(answer.trim())) return
  throw new SoakpError(409, 'SOAKP_CANCELLED', 'Nothing was changed.')
}
