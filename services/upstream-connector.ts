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
      return callback(null, socket)
    })
}
