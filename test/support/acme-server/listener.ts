import { createServer as createHttp } from 'node:http'
import type { IncomingMessage, RequestListener, Server, ServerResponse } from 'node:http'
import { createServer as createHttps } from 'node:https'
import type { AddressInfo } from 'node:net'
import { once } from 'node:events'
import { createLocalAuthority, issueLocalCertificate } from '../../../services/local-authority.ts'
import type { Answer } from './faults.ts'
import type { Incoming } from './gate.ts'

/** A server on a free port of the loopback interface. */
export interface Listener {
  readonly origin: string
  /** The root that its TLS certificate is from, PEM; undefined without TLS. */
  readonly roots: string | undefined
  stop(): Promise<void>
}

/** What answers a request; `reset` ends the connection, `hang` leaves it open without an answer. */
export type Respond = (request: Incoming) => Promise<Answer | 'reset' | 'hang'>

/** Starts a server, with TLS unless it is not wanted. */
export async function listen(hasTls: boolean, respond: Respond): Promise<Listener> {
  let origin = ''
  const handle: RequestListener = (request, response) => {
    void answer(request, response).catch(() => request.socket.destroy())
  }
  const { server, roots } = await createServer(hasTls, handle)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  origin = `${hasTls ? 'https' : 'http'}://127.0.0.1:${(server.address() as AddressInfo).port}`

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const { method = '', url = '', headers: received } = request
    const [path = ''] = url.split('?')
    const given = await respond({
      method,
      url: `${origin}${url}`,
      path: path.split('/').slice(1).map(decodeURIComponent),
      contentType: received['content-type'],
      userAgent: received['user-agent'],
      body: await readBody(request),
    })
    if (given === 'hang') return
    if (given === 'reset') {
      request.socket.resetAndDestroy()
      return
    }
    const body = typeof given.body === 'object' ? JSON.stringify(given.body) : (given.body ?? '')
    response.sendDate = false
    if (body !== '') {
      response.setHeader('content-type', 'application/json').setHeader('content-length', Buffer.byteLength(body))
    }
    for (const [name, value] of Object.entries(given.headers ?? {})) response.setHeader(name, value)
    response.writeHead(given.status)
    response.end(method === 'HEAD' ? undefined : body)
  }

  return {
    origin,
    roots,
    async stop() {
      server.closeAllConnections()
      if (!server.listening) return
      server.close()
      await once(server, 'close')
    },
  }
}

async function createServer(hasTls: boolean, handle: RequestListener): Promise<{ server: Server; roots?: string }> {
  if (!hasTls) return { server: createHttp(handle) }
  // The client's TLS looks at the machine's clock, whatever clock the test has.
  const authority = await createLocalAuthority(new Date())
  const own = await issueLocalCertificate(authority, ['127.0.0.1', 'localhost'], new Date())
  const server = createHttps({ cert: own.certificatePem, key: own.privateKeyPem }, handle)
  return { server, roots: authority.certificatePem }
}

async function readBody(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  for await (const chunk of request as AsyncIterable<Buffer>) chunks.push(chunk)
  return Buffer.concat(chunks).toString('utf8')
}
