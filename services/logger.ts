import pino from 'pino'
import type { DestinationStream, Logger } from 'pino'

/**
 * Creates the logger: JSON lines on standard output, or on `stream`. No process id or host name, times in ISO 8601, and
 * no serialisers of requests, answers or errors, which would print what nobody listed.
 */
export function createLogger(
  level: string,
  stream: DestinationStream = pino.destination({ fd: 1, sync: true }),
): Logger {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      formatters: { level: (label) => ({ level: label }) },
      serializers: { req: omit, res: omit, err: omit },
    },
    stream,
  )
}

function omit(): undefined {
  return undefined
}
