import { execFile } from 'node:child_process'
import { homedir } from 'node:os'

/** The machine whose trust stores are changed. A test gives another one, so that its own is left alone. */
export interface Machine {
  readonly platform: NodeJS.Platform
  /** What absolute paths of the system begin with: nothing, but for tests. */
  readonly root: string
  readonly home: string
  /** Runs a program without a shell. The code is 127 when there is no such program. */
  readonly run: (
    program: string,
    args: readonly string[],
  ) => Promise<{ readonly code: number; readonly output: string }>
}

const RUN_MS = 60_000

/** Creates the machine that this process runs on. */
export function thisMachine(): Machine {
  return {
    platform: process.platform,
    root: '',
    home: homedir(),
    run: (program, args) =>
      new Promise((resolve) => {
        execFile(program, args, { timeout: RUN_MS, encoding: 'utf8' }, (error, stdout, stderr) => {
          const code = error === null ? 0 : error.code === 'ENOENT' ? 127 : Number(error.code ?? 1)
          resolve({ code: Number.isNaN(code) ? 1 : code, output: `${stdout}${stderr}`.trim() })
        })
      }),
  }
}
