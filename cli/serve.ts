import { createServer } from '../fastify.config.ts'
import { readConfiguration } from '../services/configuration.ts'
import { describeError } from '../services/log-fields.ts'
import { banner } from './banner.ts'
import { failWith } from './failures.ts'

/** Starts SOAKP with the process's environment and stops it on SIGINT or SIGTERM, having let running calls end. */
export async function serve(): Promise<void> {
  try {
    const { configuration, warnings } = readConfiguration(process.env, process.cwd())
    const app = await createServer({ configuration })
    for (const warning of warnings) app.log.warn(warning)
    let isStopping = false
    const stop = (code: number) => {
      // A second Ctrl-C does not wait for running calls.
      if (isStopping) process.exit(code === 0 ? 130 : code)
      isStopping = true
      app.close().then(
        () => process.exit(code),
        (error: unknown) => failWith(error),
      )
    }
    process.on('SIGINT', () => stop(0))
    process.on('SIGTERM', () => stop(0))
    process.on('uncaughtException', (error) => {
      app.log.error({ error: describeError(error) }, 'unexpected error: stopping')
      setTimeout(() => process.exit(1), CRASH_DRAIN_MS).unref()
      stop(1)
    })
    await app.listen({ host: configuration.host, port: configuration.port, listenTextResolver: () => 'listening' })
    process.stdout.write(banner(app, configuration))
  } catch (error) {
    failWith(error)
  }
}

/** After an unexpected error nothing is certain any more: running calls get this long. */
const CRASH_DRAIN_MS = 5_000
