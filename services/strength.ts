import { SoakpError } from './errors.ts'

const LEAST_CHARACTERS = 20

/** Values and fragments from samples, tutorials and the 2023 soakp's own `.env.dist`. */
const SAMPLES =
  /jQQJjmb0BP2Q8033|76gEtFpOPTALBsdx|hbQUKRvvT0rQD6M38NT9NtYm|testuser|change.?(me|it|this)|your.?(secret|key|token|password)|example|sample|placeholder|password|secret.?(key|string|here)|^(0123456789|1234567890|abcdefghij)/i

/**
 * Checks a secret that the operator chose. In production a short or sample value throws `SOAKP_CONFIGURATION`;
 * elsewhere it adds a warning.
 */
export function assertStrong(name: string, value: string, isProduction: boolean, warnings: string[]): void {
  const fault = faultOf(value)
  if (fault === undefined) return
  const message = `${name} ${fault}. Set ${LEAST_CHARACTERS} characters or more that nobody can guess: openssl rand -base64 32`
  if (isProduction) throw new SoakpError(500, 'SOAKP_CONFIGURATION', message)
  warnings.push(message)
}

function faultOf(value: string): string | undefined {
  if (value.length < LEAST_CHARACTERS) return `has only ${value.length} characters`
  if (SAMPLES.test(value) || new Set(value).size < 8) return 'looks like a sample or a pattern'
  return undefined
}
