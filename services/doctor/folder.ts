import { access, constants, stat, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import type { Configuration } from '../configuration.ts'
import { hasErrorCode } from '../errors.ts'
import { fault, ok, warning } from './finding.ts'
import type { Result } from './finding.ts'
import { SEAL_FILE } from '../data-files.ts'

/** The database, its journal and a backup have room in it for a long time. */
const LEAST_FREE_BYTES = 200e6

/** Checks that the data folder is there, is a folder and may be written. */
export async function checkDataFolder({ dataDir, databaseFile }: Configuration): Promise<Result> {
  const elsewhere = 'or set SOAKP_DATA_DIR to where it is.'
  try {
    const entry = await stat(dataDir)
    if (!entry.isDirectory()) {
      return fault(`The data folder ${dataDir} is no folder.`, `Move what is there away, ${elsewhere}`)
    }
    await access(dataDir, constants.R_OK | constants.W_OK | constants.X_OK)
  } catch (error) {
    if (hasErrorCode(error, 'ENOENT')) {
      return fault(`There is no data folder ${dataDir}.`, `Start SOAKP, which makes it, ${elsewhere}`)
    }
    if (hasErrorCode(error, 'ENOTDIR')) {
      return fault(`Above the data folder ${dataDir} is a file.`, `Move it away, ${elsewhere}`)
    }
    if (hasErrorCode(error, 'EROFS')) {
      return fault(`The data folder ${dataDir} is on a read-only file system.`, `Mount it to be written, ${elsewhere}`)
    }
    const remedy = `Run the command as the user that SOAKP runs as, give this user the folder, ${elsewhere}`
    return fault(`This user may not write the data folder ${dataDir}.`, remedy)
  }
  if ((await modeOf(databaseFile)) !== undefined) return ok(`The data folder ${dataDir} can be written.`)
  return ok(`The data folder ${dataDir} can be written; there is no vault in it yet, which the first start makes.`)
}

/** Checks that nobody but the user can read what is secret. */
export async function checkFileModes({ dataDir, databaseFile, unseal }: Configuration): Promise<Result> {
  if (process.platform === 'win32') return ok('Windows has no file modes.')
  const rootKey = unseal.kind === 'key-file' ? unseal.file : join(dataDir, 'root.key')
  const files = [databaseFile, `${databaseFile}-wal`, join(dataDir, SEAL_FILE), rootKey, join(dataDir, 'migrated.json')]
  const open: { path: string; mode: number; command: string }[] = []
  for (const [path, command] of [
    [dataDir, 'chmod 700'] as const,
    ...files.map((file) => [file, 'chmod 600'] as const),
  ]) {
    const mode = await modeOf(path)
    if (mode !== undefined && (mode & 0o077) !== 0) open.push({ path, mode, command })
  }
  if (open.length === 0) return ok('Nobody but the owner can read the data folder and what is secret in it.')
  const remedy = `Type: ${open.map(({ command, path }) => `${command} ${path}`).join(' && ')}`
  const message = `Others can read ${open.map(({ path, mode }) => `${path} (mode ${mode.toString(8)})`).join(', ')}.`
  // Docker and Kubernetes mount secrets so; who mounts them decides.
  const isMounted = open.every(({ path }) => path === rootKey && !rootKey.startsWith(join(dataDir, '/')))
  return isMounted ? warning(message, remedy) : fault(message, remedy)
}

/** Checks that there is room on the disk. */
export async function checkDisk(dataDir: string): Promise<Result> {
  const { bavail, bsize } = await statfs(dataDir)
  return diskResult(bavail * bsize, dataDir)
}

/** Says whether so much room is enough. */
export function diskResult(freeBytes: number, dataDir: string): Result {
  const free = `${Math.floor(freeBytes / 1e6)} MB are free where ${dataDir} is`
  if (freeBytes >= LEAST_FREE_BYTES) return ok(`${free}.`)
  const remedy = 'Make room: on a full disk keys and tokens cannot be saved or revoked.'
  return fault(`Only ${free}; 200 MB is the least.`, remedy)
}

async function modeOf(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).mode & 0o777
  } catch {
    return undefined
  }
}
