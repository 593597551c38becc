import pino from 'pino'
import type { DestinationStream, Logger } from 'pino'

/**
 * Creates the logger: JSON lines on standard output, or on `stream`. No process id or host name, times in ISO 8601, and
 * no serialisers of requests, answers or errors, which would print what nobody listed.
 */
export function createLogger(level: string, stream: DestinationStream = standardOutput()): Logger {
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

function standardOutput(): DestinationStream {
  const stream = pino.destination({ fd: 1, sync: true })
  // A full disk or a closed pipe behind the log must not end calls, let alone the process.
  stream.on('error', () => undefined)
  return stream
}

function omit(): undefined {
  return undefined
}
