import { serve } from './serve.ts'

/** Runs the `soakp` command. */
export async function main(args: readonly string[]): Promise<void> {
  if (args[0] === 'serve') return serve()
  process.stderr.write('not yet\n')
}
