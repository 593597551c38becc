import { text } from 'node:stream/consumers'
import { usageError } from './usage.ts'

/** Returns a secret: typed at a prompt that shows nothing, or, without a terminal, all of standard input. */
export async function readSecret(message: string, what = 'key'): Promise<string> {
  const secret = process.stdin.isTTY ? await prompt(message) : (await text(process.stdin)).replace(/\r?\n$/, '')
  if (secret.trim() !== '') return secret
  throw usageError(`No ${what} was given. Type it at the prompt, or send it to standard input.`)
}

async function prompt(message: string): Promise<string> {
  const { default: password } = await import('@inquirer/password')
  // The question goes to standard error, so that the answer of `--json` has standard output for itself.
  const typed = await password({ message }, { input: process.stdin, output: process.stderr })
  return typed.trim()
}
