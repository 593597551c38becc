import type { FastifyInstance } from 'fastify'
import { createServer } from '../fastify.config.ts'
import { readConfiguration } from '../services/configuration.ts'
import { describeError } from '../services/log-fields.ts'
import { adminText, banner } from './banner.ts'
import { failWith } from './failures.ts'
import { stopOnSignals } from './stopping.ts'

/**
 * Starts SOAKP with the process's environment and stops it on SIGINT or SIGTERM, having let running calls end.
 * What hinders the start is one line on standard error and exit code 1.
 */
export async function serve(): Promise<void> {
  let app: FastifyInstance | undefined
  const isStopping = stopOnSignals(
    async () => app?.close(),
    (error) => (app ?? failWith(error)).log.error({ error: describeError(error) }, 'unexpected error: stopping'),
  )
  // What cannot be printed, on a full disk or into a closed pipe, is no reason to stop serving.
  process.stdout.on('error', () => undefined)
  try {
    const { configuration, warnings } = readConfiguration(process.env, process.cwd())
    app = await createServer({ configuration })
    await app.claimDataFolder()
    await app.listen({ host: configuration.host, port: configuration.port, listenTextResolver: () => 'listening' })
    process.stdout.write(await banner(app, configuration, warnings))
  } catch (error) {
    if (isStopping()) return
    // It was made all the same and will not be shown again.
    const admin = app && adminText(app)
    if (admin !== undefined) process.stdout.write(`Admin  ${admin}\n`)
    await app?.close()
    failWith(error)
  }
}
