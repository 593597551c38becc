import { randomBytes } from 'node:crypto'
import type { FastifyInstance } from 'fastify'
import type { Configuration } from './services/configuration.ts'
import type { Environment } from './services/environment.ts'
import { createLibrary } from './services/library/library.ts'
import type { Library, Started } from './services/library/library.ts'
import { configureLibrary, configurePlugin, environmentOf } from './services/library/options.ts'
import type { Settings } from './services/library/options.ts'
import { Secret } from './services/secret.ts'

export { readConfiguration } from './services/configuration.ts'
export type { Configuration } from './services/configuration.ts'
export { SoakpError } from './services/errors.ts'
export type { Library } from './services/library/library.ts'
export { CallError } from './services/library/answers.ts'
export type { CallOptions } from './services/library/call.ts'
export type { EventStream } from './services/library/events.ts'
export type { Settings } from './services/library/options.ts'
export type { MintedToken, NewToken, RotationRequest, Token } from './services/tokens.ts'
export type { NewKey } from './services/vault.ts'

/**
 * Creates a SOAKP with settings of its own, which starts at its first call: `createSoakp({ dataDir, secret })`. Of the
 * environment it reads only `NODE_ENV`.
 */
export function createSoakp(given: Settings = {}): Library {
  const environment = environmentOf(given)
  return createLibrary(() => start({ ...environment, NODE_ENV: process.env['NODE_ENV'] }))
}

/** What the plugin takes: a whole configuration, as `readConfiguration` reads it, or settings. */
export type PluginOptions = { readonly configuration: Configuration } | Settings

/**
 * The server as a plugin for a Fastify of your own, beside its routes and without a prefix:
 * `await app.register(soakp.plugin, { dataDir, secret })`. TLS is that Fastify's.
 */
export async function plugin(app: FastifyInstance, options: PluginOptions): Promise<void> {
  const { default: server } = await import('./fastify.config.ts')
  await app.register(server, { configuration: 'configuration' in options ? options.configuration : configure(options) })
}

/** The SOAKP of the environment's settings, the server's own: it starts at the first call. */
const soakp = createLibrary(() => start({ ...process.env }))

export const { close, fetch, manage, mint, request, revoke, rotate, saveKey } = soakp

export default { ...soakp, createSoakp, plugin }

function configure(given: Settings): Configuration {
  const environment = { ...environmentOf(given), NODE_ENV: process.env['NODE_ENV'] }
  const { configuration, warnings } = configurePlugin(environment, process.cwd())
  warn(warnings)
  return configuration
}

/** Instances that run. Each is closed when nothing else keeps the process alive, so that no count is lost. */
const running = new Set<Started>()

const closeAll = () => void Promise.all([...running].map((each) => each.close()))

async function start(environment: Environment): Promise<Started> {
  const { configuration, warnings } = configureLibrary(environment, process.cwd())
  warn(warnings)
  const { createServer } = await import('./fastify.config.ts')
  const credential = new Secret(randomBytes(32).toString('base64url'))
  const logStream = { write: (line: string) => void process.stderr.write(line) }
  const app = await createServer({ configuration, processCredential: credential, logStream })
  const started = {
    server: app.server,
    credential,
    async close() {
      running.delete(started)
      if (running.size === 0) process.off('beforeExit', closeAll)
      await app.close()
    },
  }
  running.add(started)
  if (running.size === 1) process.on('beforeExit', closeAll)
  return started
}

function warn(warnings: readonly string[]): void {
  for (const each of warnings) process.emitWarning(each, 'SoakpWarning')
}
