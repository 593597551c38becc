import type { AcmeClient, AcmeDirectory } from '../acme/index.ts'
import type { Challenger, ServedReport } from '../challenge/index.ts'
import type { Clock } from '../clock.ts'
import type { Report } from './events.ts'
import type { Records } from './records.ts'

/** What the steps of one attempt share. */
export interface Attempt {
  readonly clock: Clock
  readonly records: Records
  readonly challenger: Challenger
  /** Aborts when SOAKP stops. */
  readonly signal: AbortSignal
  readonly report: Report
  /** Runs a step under its name, which is shown and timed. */
  readonly phase: <Value>(name: string, step: () => Promise<Value>) => Promise<Value>
  /** Keeps how long servers took, for the figures. */
  readonly served: (report: ServedReport) => void
  /** Says that records of ours stand and must be swept. */
  readonly leftover: () => void
}

/** A client that is signed in to its directory. */
export interface Session {
  readonly client: AcmeClient
  readonly directory: AcmeDirectory
  /** The URL of the account. */
  readonly account: string
}
