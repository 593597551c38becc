import { failWith } from './failures.ts'

/** After an unexpected error nothing is certain any more: running calls get this long. */
const CRASH_DRAIN_MS = 5_000

/** npm passes on the Ctrl-C that the terminal has sent to all processes already: that is no second one. */
const SAME_SIGNAL_MS = 500

/**
 * Stops the process with exit code 0 on SIGINT or SIGTERM and with 1 on an unexpected error, having waited for `close`;
 * a second signal does not wait. Returns a function that tells whether stopping has begun.
 */
export function stopOnSignals(close: () => Promise<unknown>, logCrash: (error: unknown) => void): () => boolean {
  let begun: number | undefined
  let exitCode = 0

  function stop(code: number): void {
    exitCode = Math.max(exitCode, code)
    if (begun !== undefined) return
    begun = Date.now()
    close().then(() => process.exit(exitCode), failWith)
  }

  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.on(signal, (_: string, number: number) => {
      if (begun !== undefined && Date.now() - begun > SAME_SIGNAL_MS) process.exit(128 + number)
      stop(0)
    })
  }

  function crash(error: unknown): void {
    logCrash(error)
    setTimeout(() => process.exit(1), CRASH_DRAIN_MS)
    stop(1)
  }
  process.on('uncaughtException', crash)
  process.on('unhandledRejection', crash)
  return () => begun !== undefined
}
