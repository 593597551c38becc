/** Says in a sentence why a version of Node cannot run SOAKP, or returns undefined. `bin/soakp.js` asks the same. */
export function nodeVersionFault(version: string): string | undefined {
  const [major = 0, minor = 0] = version.split('.').map(Number)
  if (major > 22 || (major === 22 && minor >= 19)) return undefined
  return `Node ${version} is too old; SOAKP needs 22.19 or newer.`
}
