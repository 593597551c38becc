import { isAbsolute } from 'node:path'
import { readCredentials } from '../dns-core/credentials.ts'
import { runProgram } from '../dns-core/program.ts'
import type { ProgramEnd } from '../dns-core/program.ts'
import { DnsProviderError } from '../dns-errors.ts'
import type { DnsFaultKind } from '../dns-errors.ts'
import { orAborted } from '../or-aborted.ts'
import { createQueue } from '../queue.ts'
import type { AppendingProvider, ProviderOptions, TxtRecord } from './index.ts'

const TIMEOUT_MS = 120_000

/** EX_TEMPFAIL of sysexits.h: the program asks to be run again later. */
const TRY_AGAIN = 75

/**
 * Creates the provider that runs a program of the operator's, as lego's `exec` does: `PROGRAM present NAME. VALUE` and
 * `PROGRAM cleanup NAME. VALUE`, one at a time. Both may come more than once.
 */
export function createProvider(options: ProviderOptions): AppendingProvider {
  const credentials = readCredentials('exec', 'exec', options)
  const program = credentials.need('EXEC_PATH').reveal()
  if (!isAbsolute(program)) credentials.fail('EXEC_PATH must be an absolute path.')
  const mode = credentials.find('EXEC_MODE')?.reveal()
  if (mode !== undefined) credentials.fail('EXEC_MODE must be empty, for only a name and a value are passed.')
  const inTurn = createQueue()

  async function run(action: string, { name, value }: TxtRecord, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted()
    const end = await runProgram(program, [action, `${name}.`, value], { timeoutMs: TIMEOUT_MS, signal })
    if (end.how === 'ended' && end.code === 0) return
    const [kind, what] = faultOf(end)
    const words = end.lastLine === '' ? '' : ` It said: ${end.lastLine}`
    throw new DnsProviderError('exec', kind, `${program} ${action} ${name}. ${what}.${words}`)
  }

  /** One that waits for its turn can be aborted, too. */
  const runInTurn = (action: string, record: TxtRecord, signal: AbortSignal) =>
    orAborted(
      signal,
      inTurn(() => run(action, record, signal)),
    )

  return {
    writes: 'values',
    valuesPerName: 'many',
    add: (record, signal) => runInTurn('present', record, signal),
    remove: (record, signal) => runInTurn('cleanup', record, signal),
  }
}

function faultOf(end: ProgramEnd): readonly [kind: DnsFaultKind, what: string] {
  switch (end.how) {
    case 'ended':
      return [end.code === TRY_AGAIN ? 'unreachable' : 'refused', `ended with code ${end.code}`]
    case 'killed':
      return ['unreachable', `was killed by ${end.reason}`]
    case 'timed out':
      return ['unreachable', 'took more than two minutes']
    default:
      return ['refused', `could not be run (${end.reason}); is it there, and executable?`]
  }
}
