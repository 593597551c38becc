import { createHmac, randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { SoakpError, hasErrorCode } from './errors.ts'
import { writeDurably } from './files.ts'
import type { Secret } from './secret.ts'

/**
 * Remembers which keys were migrated, so that none is saved twice: the vault tells nobody what it holds. What is kept is
 * an HMAC of each under a salt of its own, from which a key of a provider, 128 random bits and more, cannot be found.
 */
export interface MigratedKeys {
  /** Returns the id under which a key was saved. */
  find(key: Secret): string | undefined
  /**
   * Returns the name to save a key under. It is the same each time: a run that was killed after saving and before
   * remembering is recognised by it.
   */
  nameOf(key: Secret): string
  /** Durable when the promise resolves. */
  remember(key: Secret, id: string): Promise<void>
}

interface Memory {
  readonly salt: string
  readonly keys: Readonly<Record<string, string>>
}

/** Opens the memory in a file and makes it where there is none. Throws `SOAKP_MIGRATED_KEYS`. */
export async function openMigratedKeys(file: string): Promise<MigratedKeys> {
  const known = await read(file)
  let memory = known ?? { salt: randomBytes(32).toString('base64url'), keys: {} }
  // Before anything gets a name by the salt.
  if (known === undefined) await write(file, memory)
  const mark = (key: Secret) => createHmac('sha256', memory.salt).update(key.reveal()).digest('hex')

  return {
    find: (key) => memory.keys[mark(key)],
    nameOf: (key) => `migrated ${mark(key).slice(0, 8)}`,
    async remember(key, id) {
      memory = { ...memory, keys: { ...memory.keys, [mark(key)]: id } }
      await write(file, memory)
    },
  }
}

async function read(file: string): Promise<Memory | undefined> {
  let text: string
  try {
    text = await readFile(file, 'utf8')
  } catch (cause) {
    if (hasErrorCode(cause, 'ENOENT')) return undefined
    throw unreadable(file, cause)
  }
  try {
    const { salt, keys } = JSON.parse(text) as Partial<Memory>
    if (typeof salt === 'string' && typeof keys === 'object') return { salt, keys }
  } catch {
    // Answered below.
  }
  throw unreadable(file)
}

function write(file: string, memory: Memory): Promise<void> {
  return writeDurably(file, `${JSON.stringify(memory, undefined, 2)}\n`, 0o600)
}

function unreadable(file: string, cause?: unknown): SoakpError {
  const message = `${file} cannot be read: without it, keys that were migrated before would be saved again. Restore it, or delete it if none were.`
  return new SoakpError(500, 'SOAKP_MIGRATED_KEYS', message, { cause })
}
