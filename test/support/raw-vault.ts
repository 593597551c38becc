import { createHash, randomBytes } from 'node:crypto'
import { readFile, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import type { UnsealConfiguration } from '../../services/configuration.ts'
import { prepareDataDir } from '../../services/files.ts'
import { createKeyRing } from '../../services/key-ring.ts'
import { openSeal } from '../../services/seal.ts'
import { openStore } from '../../services/stores/index.ts'

/** Writes a root key file and returns its path. */
export async function writeRootKey(folder: string, name = 'its-root.key'): Promise<string> {
  const file = join(folder, name)
  await writeFile(file, randomBytes(32), { mode: 0o400 })
  return file
}

/** Makes a vault in a data folder without a server: its seal and an empty, migrated database. */
export async function makeVault(dataDir: string, unseal: UnsealConfiguration): Promise<void> {
  await prepareDataDir(dataDir)
  const file = join(dataDir, 'soakp.db')
  const { root, instance } = await openSeal(join(dataDir, 'seal.jwe'), file, unseal)
  const store = await openStore('sqlite', { file, key: createKeyRing(root, instance).databaseKey() })
  await store.close()
}

/** Opens the database of a vault that no server uses, as SQLCipher does; the caller closes it. */
export async function openDatabase(dataDir: string, unseal: UnsealConfiguration): Promise<Database.Database> {
  const file = join(dataDir, 'soakp.db')
  const { root, instance } = await openSeal(join(dataDir, 'seal.jwe'), file, unseal)
  const database = new Database(file)
  database.pragma("cipher = 'sqlcipher'")
  database.pragma('legacy = 4')
  database.pragma(`key = "x'${createKeyRing(root, instance).databaseKey()}'"`)
  return database
}

/** Returns the SHA-256 of every file in a folder by name, to see whether anything was touched. */
export async function fingerprint(folder: string): Promise<Record<string, string>> {
  const names = (await readdir(folder)).toSorted()
  const digest = async (name: string) =>
    createHash('sha256')
      .update(await readFile(join(folder, name)))
      .digest('hex')
  return Object.fromEntries(await Promise.all(names.map(async (name) => [name, await digest(name)] as const)))
}
