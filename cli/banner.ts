import { join } from 'node:path'
import type { FastifyInstance } from 'fastify'
import { listeningAddress } from '../services/listening-address.ts'
import { LOCAL_AUTHORITY_FILE } from '../services/data-files.ts'
import type { Configuration } from '../services/configuration.ts'
import { certificateText } from './certificate-text.ts'
import { describedLines } from './output.ts'
import { commandLine, packageVersion, shellWord, shortPath } from './package.ts'

/**
 * Returns what is printed when SOAKP listens: where it is, what to trust, the admin credential if this start made it,
 * what to do next, and what the operator should know.
 */
export async function banner(
  app: FastifyInstance,
  configuration: Configuration,
  warnings: readonly string[],
): Promise<string> {
  const { dataDir, tls, unseal } = configuration
  const rootKey = unseal.kind === 'key-file' && unseal.make ? shortPath(unseal.file) : undefined
  const authority = tls.mode === 'local' ? join(dataDir, LOCAL_AUTHORITY_FILE) : undefined
  const lines = describedLines([
    [
      'Data',
      `${shortPath(dataDir)} (encrypted${rootKey === undefined ? '' : `; root key ${rootKey}: fine for trying out, move it for production`})`,
    ],
    ['Address', listeningAddress(app.server.address(), configuration)],
    ['Certificate', tls.mode === 'acme' ? await certificateText(app.certificates) : undefined],
    [
      'Authority',
      authority === undefined
        ? undefined
        : `${shortPath(authority)} (the local authority's certificate, which clients have to trust)`,
    ],
    ['Admin', adminText(app)],
    // The command alone on its line: it is pasted.
    ['Next', commandLine('keys add', dataDir)],
    ['', '(asks for your OpenAI key without showing it, and prints a token)'],
    ['In Node', authority === undefined ? undefined : `NODE_EXTRA_CA_CERTS=${shellWord(authority)} node app.js`],
    ...warnings.map((warning) => ['Warning', warning] as const),
  ])
  return `\n  SOAKP ${packageVersion()}\n${lines.map((line) => `  ${line}\n`).join('')}\n`
}

/** Returns the admin credential if this start made it. It is shown even when SOAKP then fails to listen. */
export function adminText(app: FastifyInstance): string | undefined {
  const credential = app.unsealed.newAdminCredential
  return credential && `${credential.reveal()} (the admin credential, shown this once)`
}
