import { join } from 'node:path'
import { clientAddress } from '../services/listening-address.ts'
import { LOCAL_AUTHORITY_FILE } from '../services/data-files.ts'
import type { Connection } from './connection.ts'
import { commandLine, shellWord } from './package.ts'

/** Returns what to do with a token that was just printed, in lines that work when pasted. */
export function nextStepLines({ address, configuration }: Connection): string[] {
  const { dataDir, tls } = configuration
  const authority = tls.mode === 'local' ? join(dataDir, LOCAL_AUTHORITY_FILE) : undefined
  return [
    '',
    ...(address === undefined ? [`SOAKP is not running. Start it: ${commandLine('serve', dataDir)}`, ''] : []),
    'In your app, with the token in OPENAI_API_KEY:',
    `  const openai = new OpenAI({ baseURL: '${address ?? clientAddress(configuration, configuration.port)}/v1' })`,
    ...(authority === undefined
      ? []
      : ['Node has to trust the local authority:', `  NODE_EXTRA_CA_CERTS=${shellWord(authority)} node app.js`]),
  ]
}
