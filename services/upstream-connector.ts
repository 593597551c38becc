import type { Socket } from 'node:net'
import { buildConnector } from 'undici'

/**
 * Creates what opens undici's connections. undici takes an answer that ends with its connection for whole even where that
 * was reset; here, a reset is always an error, so such an answer arrives cut short.
 */
export function createUpstreamConnector(options: buildConnector.BuildOptions): buildConnector.connector {
  const connect = buildConnector({ ...options, allowH2: false })
  return (target, callback) =>
    connect(target, (...[error, socket]) => {
      if (error !== null) return callback(error, null)
      // undici looks at this code alone; its listener comes after ours.
      socket.on('error', (reset: NodeJS.ErrnoException) => {
        if (reset.code === 'ECONNRESET') reset.code = 'SOAKP_UPSTREAM_RESET'
      })
      keepEndBack(socket)
      return callback(null, socket)
    })
}

/**
 * Keeps the end of a connection back until undici reads and finds nothing more. While an answer is held up, undici reads
 * nothing, and an end that it hears of then ends the process (nodejs/undici issue 5360; mended in 8 alone).
 */
function keepEndBack(socket: Socket): void {
  const push = socket.push.bind(socket)
  const read = socket.read.bind(socket)
  let isEnded = false

  socket.push = (chunk: unknown, encoding) => {
    if (chunk !== null) return push(chunk, encoding)
    isEnded = true
    process.nextTick(() => socket.emit('readable'))
    return false
  }

  socket.read = (size) => {
    const chunk: unknown = read(size)
    if (chunk === null && isEnded && size === undefined) {
      // As Node does it itself.
      push(null)
      read(0)
    }
    return chunk
  }
}
