import { chmod, mkdir, open, rename, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { SoakpError } from './errors.ts'

/** Writes a file so that it is whole or absent after a crash: temporary file, fsync, rename, fsync of the folder. */
export async function writeDurably(file: string, content: Buffer | string, mode: number): Promise<void> {
  const temporary = `${file}.new`
  const handle = await open(temporary, 'w', 0o600)
  try {
    await handle.writeFile(content)
    await handle.chmod(mode)
    await handle.sync()
  } finally {
    await handle.close()
  }
  await rename(temporary, file)
  const folder = await open(dirname(file), 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}

/** Makes the data folder with mode 0700, or tightens one that others can read. Throws `SOAKP_DATA_DIR`. */
export async function prepareDataDir(dataDir: string): Promise<void> {
  try {
    await mkdir(dataDir, { recursive: true, mode: 0o700 })
    const { mode } = await stat(dataDir)
    if ((mode & 0o077) !== 0) await chmod(dataDir, 0o700)
  } catch (cause) {
    const message = `The data folder ${dataDir} cannot be made or written. Give this user the folder, or set SOAKP_DATA_DIR.`
    throw new SoakpError(500, 'SOAKP_DATA_DIR', message, { cause })
  }
}
