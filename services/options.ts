import type { Configuration } from './configuration.ts'
import type { Secret } from './secret.ts'

/** What SOAKP is made of. `processCredential` is an admin credential that lives as long as the process. */
export interface SoakpOptions {
  readonly configuration: Configuration
  readonly processCredential?: Secret
}
