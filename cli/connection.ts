import { existsSync } from 'node:fs'
import { readConfiguration } from '../services/configuration.ts'
import type { Configuration } from '../services/configuration.ts'
import { SoakpError } from '../services/errors.ts'
import { openFolder } from './folder.ts'
import { openSocket } from './socket.ts'
import type { RawAnswer } from './transport.ts'

/** A way to SOAKP as commands use it. */
export interface Connection {
  readonly configuration: Configuration
  /** Where a running server listens; undefined when the command works on the data folder itself. */
  readonly address: string | undefined
  /** Calls a management route. Throws `RefusedCall` when SOAKP says no. */
  call<Value>(method: string, path: string, body?: unknown): Promise<Answer<Value>>
}

/** An answer as it came and as a value. */
export interface Answer<Value> {
  readonly text: string
  readonly value: Value
}

/** SOAKP refused a call; `answer` is the JSON that it gave. */
export class RefusedCall extends SoakpError {
  readonly answer: string

  constructor(status: number, error: { readonly code: string; readonly message: string }, answer: string) {
    super(status, error.code, error.message)
    this.answer = answer
  }
}

/** What happens where there is no vault yet: it is made, or something else is done, or the command is refused. */
export interface ConnectionOptions<Result> {
  readonly mayMake?: boolean
  readonly withoutVault?: (configuration: Configuration) => Promise<Result>
}

/** Runs `work` with a connection to the server that runs on the data folder, else to the folder itself. */
export async function withConnection<Result>(
  work: (connection: Connection) => Promise<Result>,
  { mayMake = false, withoutVault }: ConnectionOptions<Result> = {},
): Promise<Result> {
  const { configuration, warnings } = readConfiguration(process.env, process.cwd())
  for (const warning of warnings) process.stderr.write(`soakp: warning: ${warning}\n`)
  const server = await openSocket(configuration.dataDir)
  if (server === undefined && withoutVault !== undefined && !existsSync(configuration.databaseFile)) {
    return withoutVault(configuration)
  }
  const transport = server ?? (await openFolder(configuration, mayMake))
  try {
    return await work({
      configuration,
      address: transport.address,
      call: async (method, path, body) => read(await transport.send(method, path, body)),
    })
  } finally {
    await transport.close()
  }
}

function read<Value>({ status, text }: RawAnswer): Answer<Value> {
  const value: unknown = parse(text)
  if (status < 400) return { text, value: value as Value }
  const { error } = value as { error?: { code: string | null; message: string } }
  const { code, message } = error ?? { code: null, message: `SOAKP answered ${status}.` }
  throw new RefusedCall(status, { code: code ?? 'SOAKP_REFUSED', message }, text)
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch (cause) {
    throw new SoakpError(500, 'SOAKP_ANSWER_UNREADABLE', 'What answered on the control socket is no SOAKP.', { cause })
  }
}
