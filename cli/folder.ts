import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import { copyFile, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Configuration } from '../services/configuration.ts'
import { SoakpError, hasErrorCode } from '../services/errors.ts'
import { Secret } from '../services/secret.ts'
import { adminText } from './banner.ts'
import type { Transport } from './transport.ts'
import { commandLine, shortPath } from './package.ts'
import { SEAL_FILE } from '../services/data-files.ts'

const LONG_MS = 60_000

/**
 * Opens a data folder that no server runs on, by a SOAKP in this process that does not listen. Without `mayMake` a
 * folder without a vault is refused: most likely it is the wrong one, and a new vault there would only confuse.
 */
export async function openFolder(configuration: Configuration, mayMake: boolean): Promise<Transport> {
  if (!mayMake && !existsSync(configuration.databaseFile)) throw noVault(configuration)
  const { transport, credential } = await openServer(configuration)
  if (credential !== undefined) process.stderr.write(`Admin  ${credential}\n`)
  return transport
}

/**
 * Opens the vault of a data folder in a temporary copy, which is deleted on closing: nothing in the folder is changed,
 * not even by a migration. What is copied is encrypted. Throws as `openFolder` does.
 */
export async function openCopy(configuration: Configuration): Promise<Transport> {
  const { dataDir, databaseFile } = configuration
  if (!existsSync(databaseFile)) throw noVault(configuration)
  const copy = await mkdtemp(join(tmpdir(), 'soakp-copy-'))
  const copiedFile = join(copy, 'soakp.db')
  try {
    await copyIfThere(join(dataDir, SEAL_FILE), join(copy, SEAL_FILE))
    for (const suffix of ['', '-wal']) await copyIfThere(databaseFile + suffix, copiedFile + suffix)
    const { transport } = await openServer({ ...configuration, dataDir: copy, databaseFile: copiedFile, drainMs: 0 })
    return {
      ...transport,
      async close() {
        await transport.close()
        await rm(copy, { recursive: true, force: true })
      },
    }
  } catch (error) {
    await rm(copy, { recursive: true, force: true })
    if (!(error instanceof SoakpError)) throw error
    const message = error.message.replaceAll(copiedFile, databaseFile).replaceAll(copy, dataDir)
    throw new SoakpError(error.statusCode, error.code, message, { cause: error })
  }
}

async function copyIfThere(file: string, to: string): Promise<void> {
  try {
    await copyFile(file, to)
  } catch (cause) {
    if (hasErrorCode(cause, 'ENOENT')) return
    const message = `${file} cannot be read. Run the command as the user that SOAKP runs as.`
    throw new SoakpError(500, 'SOAKP_DATA_DIR', message, { cause })
  }
}

/** Creates a SOAKP that does not listen; `credential` is the line that shows its admin credential if it made one. */
async function openServer(configuration: Configuration): Promise<{ transport: Transport; credential?: string }> {
  // Loading the server takes longer than all that a command does with a running one.
  const { createServer } = await import('../fastify.config.ts')
  const processCredential = new Secret(randomBytes(32).toString('base64url'))
  const app = await createServer({
    configuration: { ...configuration, logLevel: 'silent', tls: { mode: 'off' } },
    processCredential,
  })
  const credential = adminText(app)
  const transport: Transport = {
    address: undefined,
    async send(method, url, body, headers) {
      // What only waits, as for name servers, does not keep a process alive. Whoever waits for the answer does.
      const alive = setInterval(() => undefined, LONG_MS)
      try {
        const { statusCode, payload } = await app.inject({
          method: method as 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE' | 'OPTIONS',
          url,
          headers: {
            authorization: `Bearer ${processCredential.reveal()}`,
            ...headers,
            ...(body !== undefined && { 'content-type': 'application/json' }),
          },
          ...(body !== undefined && { payload: JSON.stringify(body) }),
        })
        return { status: statusCode, text: payload }
      } finally {
        clearInterval(alive)
      }
    },
    close: () => app.close(),
  }
  return { transport, ...(credential !== undefined && { credential }) }
}

function noVault({ dataDir }: Configuration): SoakpError {
  const message = `There is no SOAKP in ${shortPath(dataDir)} yet. \`${commandLine('keys add', dataDir)}\` makes one; if it is elsewhere, set SOAKP_DATA_DIR.`
  return new SoakpError(500, 'SOAKP_NO_VAULT', message)
}
