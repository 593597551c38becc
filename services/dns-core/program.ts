import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'

/** How a program ended. `lastLine` is the last one of its standard error, cut and without control characters. */
export type ProgramEnd = { readonly lastLine: string } & (
  | { readonly how: 'ended'; readonly code: number }
  | { readonly how: 'killed' | 'not started'; readonly reason: string }
  | { readonly how: 'timed out' }
)

/** All that the program finds in its environment; ours holds keys. */
const ENVIRONMENT = { PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin', LANG: 'C.UTF-8' }

const KEPT_CHARACTERS = 4096
const LINE_CHARACTERS = 300

/** How long output is waited for that a child of the ended program may still hold open. */
const OUTPUT_WAIT_MS = 200

/**
 * Runs a program without a shell and waits for its end. It has a process group of its own, which is killed when the time
 * is over, and when `signal` aborts: then this rejects at once with the signal's reason.
 */
export function runProgram(
  file: string,
  args: readonly string[],
  { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal: AbortSignal },
): Promise<ProgramEnd> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted()
    const child = start(file, args)
    if (child === undefined)
      return resolve({ how: 'not started', reason: 'an argument cannot be passed', lastLine: '' })
    let output = ''
    let hasTimedOut = false
    child.stderr.setEncoding('utf8').on('data', (text: string) => (output = (output + text).slice(-KEPT_CHARACTERS)))

    const onAbort = () => {
      kill(child)
      reject(signal.reason as Error)
    }
    const timer = setTimeout(() => {
      hasTimedOut = true
      kill(child)
    }, timeoutMs).unref()
    signal.addEventListener('abort', onAbort, { once: true })

    const finish = (end: (lastLine: string) => ProgramEnd) => {
      clearTimeout(timer)
      signal.removeEventListener('abort', onAbort)
      child.stderr.destroy()
      resolve(end(lastLineOf(output)))
    }
    child.once('error', (error) => {
      const reason = 'code' in error && typeof error.code === 'string' ? error.code : error.message
      finish((lastLine) => ({ how: 'not started', reason, lastLine }))
    })
    child.once('exit', (code, killedBy) => {
      const end = (lastLine: string): ProgramEnd => {
        if (hasTimedOut) return { how: 'timed out', lastLine }
        return code === null ? { how: 'killed', reason: `${killedBy}`, lastLine } : { how: 'ended', code, lastLine }
      }
      const wait = setTimeout(() => finish(end), OUTPUT_WAIT_MS)
      child.once('close', () => {
        clearTimeout(wait)
        finish(end)
      })
    })
  })
}

/** Undefined for what no program can be given, a NUL say: that is thrown instead of told by an event. */
function start(file: string, args: readonly string[]) {
  try {
    return spawn(file, args, {
      env: ENVIRONMENT,
      cwd: '/',
      shell: false,
      detached: true,
      stdio: ['ignore', 'ignore', 'pipe'],
    })
  } catch {
    return undefined
  }
}

/** Kills the program and what it has started. */
function kill({ pid }: ChildProcess): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // All of the group has ended.
  }
}

function lastLineOf(output: string): string {
  const lines = output.trimEnd().split(/[\r\n]/)
  const words = lines.at(-1)?.replaceAll(/[\p{Cc}\p{Cf}\s]+/gu, ' ') ?? ''
  return words.trim().slice(0, LINE_CHARACTERS)
}
