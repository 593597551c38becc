import { join, relative } from 'node:path'
import type { AddressInfo } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { LOCAL_AUTHORITY_FILE } from '../plugins/tls.ts'
import { isLoopbackHost } from '../services/base-url.ts'
import type { Configuration } from '../services/configuration.ts'

/** Returns what is printed when SOAKP listens: where it is, what to trust, the admin credential once, what to do next. */
export function banner(app: FastifyInstance, configuration: Configuration): string {
  const { dataDir, tls, unseal } = configuration
  const credential = app.unsealed.newAdminCredential
  const folder = shortest(dataDir)
  const isTrial = unseal.kind === 'key-file' && unseal.make
  const authority = shortest(join(dataDir, LOCAL_AUTHORITY_FILE))
  const lines = [
    ['Data', `${folder} (encrypted${isTrial ? `; root key in ${shortest(unseal.file)}: move it for production` : ''})`],
    ['Address', addressOf(app, configuration)],
    ...(tls.mode === 'local' ? [['Authority', `${authority} (clients have to trust it)`]] : []),
    ...(credential === undefined ? [] : [['Admin', `${credential.reveal()} (shown this once)`]]),
    ['Next', 'npm run soakp keys add     saves an OpenAI key (asked for without showing it), prints a token'],
    ...(tls.mode === 'local' ? [['In Node', `NODE_EXTRA_CA_CERTS=${authority} node app.js`]] : []),
  ]
  return `\n  SOAKP\n${lines.map(([name = '', text]) => `  ${name.padEnd(10)} ${text}`).join('\n')}\n\n`
}

/** Returns an address that a browser on this machine can open, so not 0.0.0.0. */
function addressOf(app: FastifyInstance, { host, tls }: Configuration): string {
  const { port } = app.server.address() as AddressInfo
  const isHere = isLoopbackHost(host) || host === '0.0.0.0' || host === '::'
  const name = isHere ? 'localhost' : host.includes(':') ? `[${host}]` : host
  return `${tls.mode === 'off' ? 'http' : 'https'}://${name}:${port}`
}

function shortest(path: string): string {
  const fromHere = relative(process.cwd(), path)
  return fromHere !== '' && !fromHere.startsWith('..') ? fromHere : path
}
