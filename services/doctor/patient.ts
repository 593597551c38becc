import type { Configuration } from '../configuration.ts'

/** A way to ask a SOAKP as its admin. */
export interface Asking {
  ask(
    method: string,
    path: string,
    headers?: Readonly<Record<string, string>>,
  ): Promise<{ readonly status: number; readonly value: unknown }>
}

/** What the environment says: `error` is why it is refused; the configuration is then what is left of it, if anything. */
export interface Reading {
  readonly configuration: Configuration | undefined
  readonly error: Error | undefined
  readonly warnings: readonly string[]
}

/** A running server. */
export interface RunningServer extends Asking {
  /** Where it listens, `https://localhost:3033`. */
  readonly address: string | undefined
}

/** What the doctor looks at. Nothing here changes anything. */
export interface Patient {
  readonly nodeVersion: string
  readonly reading: Reading
  /** The address that programs of this machine would use, without a server that says it. */
  readonly localAddress: string
  /** Says that a port may not be used and how that is changed; `error` is what listening threw. */
  readonly refusedPort: (error: unknown) => string
  /** The file of the local authority's certificate. */
  readonly authorityFile: string
  /** Looks for the server that runs on the data folder. Throws when one is there and does not answer. */
  findServer(): Promise<RunningServer | undefined>
  /** Opens the vault of a folder that no server runs on, in a copy. Throws SOAKP's errors. */
  openVault(): Promise<Asking>
  /** The origin of a page that should be able to call. */
  readonly origin: string | undefined
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** How long a check may take that goes over the network. */
  readonly networkMs: number
}
