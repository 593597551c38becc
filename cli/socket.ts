import { request } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { text } from 'node:stream/consumers'
import { ADDRESS_HEADER, controlSocketPath } from '../services/control-socket.ts'
import { SoakpError, hasErrorCode } from '../services/errors.ts'
import type { Transport } from './transport.ts'

/** A server that lives answers its health at once; other calls may wait for an upstream. */
const HEALTH_MS = 5_000

/** Opens the way to the server that runs on a data folder; undefined when none does. */
export async function openSocket(dataDir: string): Promise<Transport | undefined> {
  const path = controlSocketPath(dataDir)
  if (path === undefined) return undefined
  const health = await askHealth(path)
  if (health === undefined) return undefined
  const address = health.headers[ADDRESS_HEADER]
  const closing = new AbortController()
  return {
    address: typeof address === 'string' ? address : undefined,
    async send(method, url, body, headers) {
      const response = await exchange(path, { method, url, body, headers, signal: closing.signal })
      return { status: response.statusCode ?? 0, text: await text(response) }
    },
    async close() {
      closing.abort()
    },
  }
}

async function askHealth(path: string): Promise<IncomingMessage | undefined> {
  try {
    const response = await exchange(path, {
      method: 'GET',
      url: '/soakp/health',
      signal: AbortSignal.timeout(HEALTH_MS),
    })
    response.resume()
    return response
  } catch (cause) {
    // Nothing is there, or a killed server left its socket behind.
    if (hasErrorCode(cause, 'ENOENT') || hasErrorCode(cause, 'ECONNREFUSED')) return undefined
    if (hasErrorCode(cause, 'EACCES')) {
      throw failed(`This user may not open ${path}. Run the command as the user that SOAKP runs as.`, cause)
    }
    throw failed(`The SOAKP behind ${path} does not answer. Stop it and start it again.`, cause)
  }
}

function failed(message: string, cause: unknown): SoakpError {
  return new SoakpError(500, 'SOAKP_CONTROL', message, { cause })
}

interface Call {
  readonly method: string
  readonly url: string
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>> | undefined
  readonly signal: AbortSignal
}

function exchange(socketPath: string, { method, url, body, headers, signal }: Call): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const content = body === undefined ? undefined : JSON.stringify(body)
    const all = { ...headers, ...(content !== undefined && { 'content-type': 'application/json' }) }
    const call = request({ socketPath, method, path: url, headers: all, signal }, resolve)
    call.once('error', reject)
    call.end(content)
  })
}
