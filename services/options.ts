import type { DestinationStream } from 'pino'
import type { Configuration } from './configuration.ts'
import type { Secret } from './secret.ts'

/** What SOAKP is made of. */
export interface SoakpOptions {
  readonly configuration: Configuration
  /** An admin credential that lives as long as the process. */
  readonly processCredential?: Secret
  /** Where log lines go instead of standard output. */
  readonly logStream?: DestinationStream
}
