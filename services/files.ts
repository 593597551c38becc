import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { access, chmod, constants, link, mkdir, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { SoakpError, hasErrorCode } from './errors.ts'
import { SEAL_FILE } from './data-files.ts'

const TEMPORARY = /\.[0-9a-f]{8}\.new$/
const ABANDONED_AFTER_MS = 60_000

/**
 * Writes a file in place of any other, so that it is whole or as before after a crash: temporary file, fsync, rename,
 * fsync of the folder. Throws `SOAKP_FILE_UNWRITABLE`.
 */
export function writeDurably(file: string, content: Buffer | string, mode: number): Promise<void> {
  return place(file, content, mode, (temporary) => rename(temporary, file))
}

/**
 * Writes a file that must not exist yet, whole or not at all; false when there is one already, which is left alone.
 * Of two that race one wins. Throws `SOAKP_FILE_UNWRITABLE`.
 */
export async function createDurably(file: string, content: Buffer | string, mode: number): Promise<boolean> {
  let isNew = true
  await place(file, content, mode, async (temporary) => {
    try {
      await link(temporary, file)
    } catch (error) {
      if (!hasErrorCode(error, 'EEXIST')) throw error
      isNew = false
    }
    await rm(temporary)
  })
  return isNew
}

async function place(
  file: string,
  content: Buffer | string,
  mode: number,
  moveIn: (temporary: string) => Promise<void>,
): Promise<void> {
  const temporary = `${file}.${randomBytes(4).toString('hex')}.new`
  try {
    const handle = await open(temporary, 'wx', 0o600)
    try {
      await handle.writeFile(content)
      await handle.chmod(mode)
      await handle.sync()
    } finally {
      await handle.close()
    }
    await moveIn(temporary)
    await syncFolder(dirname(file))
  } catch (cause) {
    await rm(temporary, { force: true }).catch(() => undefined)
    const message = `${file} cannot be written${reasonOf(cause)}. Give this user the folder, or set SOAKP_DATA_DIR.`
    throw new SoakpError(500, 'SOAKP_FILE_UNWRITABLE', message, { cause })
  }
}

async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/**
 * Makes the data folder with mode 0700, or tightens one of SOAKP's that others can read, and clears it of what a killed
 * process left half written: a copy of the root key must not outlive the original's move.
 * Throws `SOAKP_DATA_DIR`, also for a folder of somebody else: `SOAKP_DATA_DIR=/tmp` must not close /tmp to everybody.
 */
export async function prepareDataDir(dataDir: string): Promise<void> {
  try {
    await makeFolder(dataDir)
    const { mode } = await stat(dataDir)
    if ((mode & 0o077) !== 0) {
      if (!(await isOwn(dataDir))) throw foreign(dataDir)
      await chmod(dataDir, 0o700)
    }
    await access(dataDir, constants.R_OK | constants.W_OK | constants.X_OK)
    await removeAbandoned(dataDir)
  } catch (cause) {
    if (cause instanceof SoakpError) throw cause
    const message = `The data folder ${dataDir} cannot be made or written${reasonOf(cause)}. Give this user the folder, or set SOAKP_DATA_DIR.`
    throw new SoakpError(500, 'SOAKP_DATA_DIR', message, { cause })
  }
}

/** Makes a folder and those above it. Node's own `recursive` tries for ever below /proc (seen with 24.21). */
async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { mode: 0o700 })
  } catch (error) {
    if (hasErrorCode(error, 'EEXIST')) return
    if (!hasErrorCode(error, 'ENOENT') || existsSync(dirname(folder))) throw error
    await makeFolder(dirname(folder))
    await makeFolder(folder)
  }
}

/** Removes old temporary files; a young one may be another process's that is at work. */
async function removeAbandoned(dataDir: string): Promise<void> {
  const names = (await readdir(dataDir)).filter((name) => TEMPORARY.test(name))
  for (const file of names.map((name) => join(dataDir, name))) {
    if (Date.now() - (await stat(file)).mtimeMs > ABANDONED_AFTER_MS) await rm(file, { force: true })
  }
}

async function isOwn(dataDir: string): Promise<boolean> {
  const names = (await readdir(dataDir)).filter((name) => name !== 'lost+found')
  return names.length === 0 || names.includes(SEAL_FILE)
}

function foreign(dataDir: string): SoakpError {
  const message = `The data folder ${dataDir} is open to others and holds files that are not SOAKP's. Set SOAKP_DATA_DIR to a folder of its own, or, if it is one: chmod 700 ${dataDir}`
  return new SoakpError(500, 'SOAKP_DATA_DIR', message)
}

/** Names the system's reason, such as `ENOSPC`. */
function reasonOf(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  return typeof code === 'string' ? ` (${code})` : ''
}
