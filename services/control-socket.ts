import { join, relative } from 'node:path'

/** `sun_path` of sockaddr_un holds 108 bytes on Linux and 104 on macOS, the closing zero included. */
const LONGEST_PATH_BYTES = 103

/**
 * Returns the path of the control socket of a data folder, absolute or relative to the working folder, whichever is
 * shorter; undefined when neither fits into a socket address.
 */
export function controlSocketPath(dataDir: string): string | undefined {
  const absolute = join(dataDir, 'soakp.sock')
  const shortest = [absolute, relative(process.cwd(), absolute)].toSorted((a, b) => a.length - b.length)[0] ?? absolute
  return Buffer.byteLength(shortest) <= LONGEST_PATH_BYTES ? shortest : undefined
}
