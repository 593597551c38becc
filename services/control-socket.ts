import { chmod, link, rename, rm } from 'node:fs/promises'
import type { Server } from 'node:net'
import { connect } from 'node:net'
import { dirname, join, relative } from 'node:path'
import { SoakpError, hasErrorCode } from './errors.ts'

/** The header by which a running server tells the command where it listens. */
export const ADDRESS_HEADER = 'soakp-address'

/** `sun_path` of sockaddr_un holds 108 bytes on Linux and 104 on macOS, the closing zero included. */
const LONGEST_PATH_BYTES = 103

/**
 * Returns the path of the control socket of a data folder, absolute or relative to the working folder, whichever is
 * shorter; undefined when neither fits into a socket address, and on Windows, which has no such files.
 */
export function controlSocketPath(dataDir: string): string | undefined {
  if (process.platform === 'win32') return undefined
  const absolute = join(dataDir, 'soakp.sock')
  const shortest = [absolute, relative(process.cwd(), absolute)].toSorted((a, b) => a.length - b.length)[0] ?? absolute
  return Buffer.byteLength(shortest) <= LONGEST_PATH_BYTES ? shortest : undefined
}

/**
 * Listens on a path with mode 0600, in place of a socket that a killed process left behind. `server.close()` removes
 * the file. Throws `SOAKP_ALREADY_RUNNING`, leaving the other server's socket where it is, or the system's error.
 */
export async function listenAlone(server: Server, path: string): Promise<void> {
  for (let attempt = 1; attempt <= 3; attempt += 1) {
    try {
      await listen(server, path)
      await chmod(path, 0o600)
      return
    } catch (error) {
      if (!hasErrorCode(error, 'EADDRINUSE')) throw error
    }
    if (await isAnswered(path)) throw alreadyRunning()
    await removeStale(path)
  }
  throw alreadyRunning()
}

function listen(server: Server, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(path, () => {
      server.off('error', reject)
      resolve()
    })
  })
}

/** Moves the file away before it is deleted: between our look and now, another start may have put its socket there. */
async function removeStale(path: string): Promise<void> {
  // No longer than `soakp.sock`, so that it fits where that fits.
  const aside = join(dirname(path), `${process.pid.toString(36)}.old`)
  try {
    await rename(path, aside)
  } catch (error) {
    if (hasErrorCode(error, 'ENOENT')) return
    throw error
  }
  const isAlive = await isAnswered(aside)
  if (isAlive) await link(aside, path)
  await rm(aside)
  if (isAlive) throw alreadyRunning()
}

/** A socket whose backlog is full or that belongs to another user is a live one, too. */
function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path, () => {
      socket.destroy()
      resolve(true)
    })
    socket.once('error', (error) => resolve(!hasErrorCode(error, 'ECONNREFUSED') && !hasErrorCode(error, 'ENOENT')))
  })
}

function alreadyRunning(): SoakpError {
  const message = 'Another SOAKP is running on this data folder. Stop it, or set SOAKP_DATA_DIR to another folder.'
  return new SoakpError(500, 'SOAKP_ALREADY_RUNNING', message)
}
