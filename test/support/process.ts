import { spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { Test } from 'tap'
import { temporaryFolder } from './soakp.ts'

/** The folder of the clone. */
export const ROOT = fileURLToPath(new URL('../..', import.meta.url))

/** How a process ended and what it had printed. */
export interface Ended {
  /** Null when a signal ended it. */
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly stdout: string
  readonly stderr: string
}

/** A process that a test started. It is killed after the test if it still runs. */
export interface RunningProcess {
  readonly pid: number
  readonly ended: Promise<Ended>
  stdout(): string
  /** Calls back with each line of standard output from now on; returns how that ends. */
  readonly onLine: (listener: (line: string) => void) => () => void
  /** Waits until standard output matches; rejects with all that was printed when the process ends without. */
  printed(pattern: RegExp): Promise<RegExpExecArray>
  /** Sends a signal; the end is `ended`. */
  kill(signal: NodeJS.Signals): void
}

/** How a process is started; the environment is all that it gets besides PATH and HOME. */
export interface RunOptions {
  readonly environment?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** Gives it a process group of its own, all of which is killed after the test. */
  readonly detached?: boolean
}

/** Starts a program. */
export function run(t: Test, command: string, args: readonly string[], options: RunOptions = {}): RunningProcess {
  const { environment = {}, cwd = ROOT, detached = false } = options
  const PATH = `${dirname(process.execPath)}:${process.env['PATH'] ?? ''}`
  // tap adds hooks of its own to NODE_OPTIONS of every child; what is tested here is what users run.
  const child = spawn('env', ['-u', 'NODE_OPTIONS', command, ...args], {
    cwd,
    detached,
    env: { PATH, HOME: process.env['HOME'], NODE_COMPILE_CACHE: join(ROOT, '.tap', 'compile-cache'), ...environment },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stdout = ''
  let stderr = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text))
  const ended = once(child, 'close').then(([code, signal]): Ended => ({ code, signal, stdout, stderr }))
  const { pid = 0 } = child
  const kill = (signal: NodeJS.Signals) => {
    if (pid !== 0 && child.exitCode === null && child.signalCode === null) child.kill(signal)
  }
  t.teardown(async () => {
    if (detached) killGroup(pid)
    kill('SIGKILL')
    await ended.catch(() => undefined)
  })

  async function printed(pattern: RegExp): Promise<RegExpExecArray> {
    let isOver = false
    void ended.finally(() => (isOver = true)).catch(() => undefined)
    for (;;) {
      const match = pattern.exec(stdout)
      if (match !== null) return match
      if (isOver) throw new Error(`The process ended without printing ${pattern}: ${stdout}${stderr}`)
      await Promise.race([once(child.stdout, 'data'), ended])
    }
  }

  function onLine(listener: (line: string) => void): () => void {
    let rest = ''
    const take = (text: string) => {
      const lines = (rest + text).split('\n')
      rest = lines.pop() ?? ''
      for (const line of lines) listener(line)
    }
    child.stdout.on('data', take)
    return () => child.stdout.off('data', take)
  }

  return { pid, ended, stdout: () => stdout, onLine, printed, kill }
}

/** A SOAKP in a process of its own that has printed its banner. */
export interface ServerProcess extends RunningProcess {
  readonly dataDir: string
  /** As printed: `https://localhost:PORT`. */
  readonly address: string
  readonly port: number
  /** The admin credential, if it was printed. */
  readonly admin: string | undefined
}

/** Starts `node bin/soakp.js serve`, or what `command` says, on a free port and waits for the banner. */
export async function startServer(
  t: Test,
  environment: Readonly<Record<string, string>> = {},
  { command = [process.execPath, 'bin/soakp.js', 'serve'], ...options }: RunOptions & { command?: string[] } = {},
): Promise<ServerProcess> {
  const dataDir = environment['SOAKP_DATA_DIR'] ?? `${await temporaryFolder(t)}/data`
  const [program = '', ...args] = command
  const own = { SOAKP_DATA_DIR: dataDir, SOAKP_PORT: '0', ...environment }
  const running = run(t, program, args, { ...options, environment: own })
  await running.printed(/^ {2}Next .*\n/m)
  const [, address = '', port = ''] = await running.printed(/Address +(https?:\/\/.+:(\d+))/)
  const admin = /soakp_admin_[\w-]+/.exec(running.stdout())?.[0]
  return { ...running, dataDir, address, port: Number(port), admin }
}

/** Gives the reason to skip a test when a program is missing, else false. */
export function needs(program: string): string | false {
  // Not all know the option: what counts is that there is something to start.
  return spawnSync(program, ['--version']).error === undefined ? false : `needs ${program}`
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // All of the group has ended.
  }
}
