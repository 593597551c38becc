import { randomBytes } from 'node:crypto'
import { existsSync } from 'node:fs'
import type { Configuration } from '../services/configuration.ts'
import { SoakpError } from '../services/errors.ts'
import { Secret } from '../services/secret.ts'
import { adminText } from './banner.ts'
import type { Transport } from './transport.ts'
import { commandLine, shortPath } from './package.ts'

/**
 * Opens a data folder that no server runs on, by a SOAKP in this process that does not listen. Without `mayMake` a
 * folder without a vault is refused: most likely it is the wrong one, and a new vault there would only confuse.
 */
export async function openFolder(configuration: Configuration, mayMake: boolean): Promise<Transport> {
  if (!mayMake && !existsSync(configuration.databaseFile)) throw noVault(configuration)
  // Loading the server takes longer than all that a command does with a running one.
  const { createServer } = await import('../fastify.config.ts')
  const processCredential = new Secret(randomBytes(32).toString('base64url'))
  const app = await createServer({
    configuration: { ...configuration, logLevel: 'silent', tls: { mode: 'off' } },
    processCredential,
  })
  const credential = adminText(app)
  if (credential !== undefined) process.stderr.write(`Admin  ${credential}\n`)
  return {
    address: undefined,
    async send(method, url, body) {
      const { statusCode, payload } = await app.inject({
        method: method as 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE',
        url,
        headers: {
          authorization: `Bearer ${processCredential.reveal()}`,
          ...(body !== undefined && { 'content-type': 'application/json' }),
        },
        ...(body !== undefined && { payload: JSON.stringify(body) }),
      })
      return { status: statusCode, text: payload }
    },
    close: () => app.close(),
  }
}

function noVault({ dataDir }: Configuration): SoakpError {
  const message = `There is no SOAKP in ${shortPath(dataDir)} yet. \`${commandLine('keys add', dataDir)}\` makes one; if it is elsewhere, set SOAKP_DATA_DIR.`
  return new SoakpError(500, 'SOAKP_NO_VAULT', message)
}
