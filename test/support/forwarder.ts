import { createServer, request as ask } from 'node:http'
import type { IncomingMessage, RequestOptions, ServerResponse } from 'node:http'
import { once } from 'node:events'
import { connect } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import type { Duplex } from 'node:stream'
import type { Test } from 'tap'

/** What a forwarder may do wrong. */
export type Vice =
  | 'normalises targets'
  | 'rewrites JSON'
  | 'joins repeated headers'
  | 'passes the token on'
  | 'follows redirects'
  | 'asks again after 503'
  | 'ends what was cut short'
  | 'collects events'
  | 'forgets close reasons'

const TOKEN = 'token-of-the-forwarder-8d1f'

/** A small proxy of node:http alone, which replaces the token by a key and does at most one thing wrong. */
export async function startForwarder(
  t: Test,
  upstream: string,
  vice?: Vice,
): Promise<{ baseUrl: string; token: string }> {
  const { hostname, port } = new URL(upstream)
  const sockets = new Set<Socket>()

  function forward(request: IncomingMessage, response: ServerResponse, times = 0, path = targetOf(request)): void {
    const headers = headersOf(request.rawHeaders)
    const options: RequestOptions = { hostname, port, method: request.method ?? 'GET', path, headers, agent: false }
    const call = ask(options)
    call.on('error', () => (response.headersSent ? response.destroy() : response.writeHead(502).end('broken')))
    call.on('response', (answer) => {
      const { statusCode = 502, headers: got } = answer
      if (vice === 'asks again after 503' && statusCode === 503 && times < 1) return forward(request, response, 1)
      if (vice === 'follows redirects' && statusCode === 307 && times < 1)
        return forward(request, response, 1, got.location)
      return answerWith(answer, response)
    })
    response.on('close', () => call.destroy())
    if (times > 0) call.end()
    else void sendBody(request, call)
  }

  async function sendBody(request: IncomingMessage, call: ReturnType<typeof ask>): Promise<void> {
    try {
      if (vice !== 'rewrites JSON' || !/json/.test(request.headers['content-type'] ?? '')) {
        for await (const chunk of request) call.write(chunk)
        return void call.end()
      }
      const text = Buffer.concat(await request.toArray()).toString()
      return void call.end(text === '' ? text : rewritten(text))
    } catch {
      call.destroy()
    }
  }

  function answerWith(answer: IncomingMessage, response: ServerResponse): void {
    const { statusCode = 502, statusMessage = '', rawHeaders } = answer
    response.writeHead(statusCode, statusMessage, without(rawHeaders, /^(?:connection|keep-alive|trailer|x-hop)$/i))
    response.flushHeaders()
    if (vice === 'collects events') return void collect(answer, response)
    answer.on('data', (chunk) => response.write(chunk))
    answer.on('end', () => response.end())
    answer.on('error', () => (vice === 'ends what was cut short' ? response.end() : response.destroy()))
  }

  /** The header list that goes up. */
  function headersOf(raw: readonly string[]): string[] {
    const length = /^(?:authorization|host|connection|keep-alive|expect|te|upgrade|http2-settings|x-hop)$/i
    const headers = ['Host', `${hostname}:${port}`, 'Authorization', 'Bearer key', ...without(raw, length)]
    if (vice === 'rewrites JSON') headers.splice(0, headers.length, ...without(headers, /^content-length$/i))
    if (vice === 'passes the token on') headers.push('X-Caller', TOKEN)
    if (vice !== 'joins repeated headers') return headers
    const joined = new Map<string, [string, string]>()
    for (let at = 0; at < headers.length; at += 2) {
      const [name = '', value = ''] = headers.slice(at, at + 2)
      const known = joined.get(name.toLowerCase())
      joined.set(name.toLowerCase(), known === undefined ? [name, value] : [known[0], `${known[1]}, ${value}`])
    }
    return [...joined.values()].flat()
  }

  function targetOf({ url = '' }: IncomingMessage): string {
    if (vice !== 'normalises targets') return url
    const { pathname, search } = new URL(url, 'http://x')
    return pathname + search
  }

  const server = createServer((request, response) => forward(request, response))
  server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
    response.writeContinue()
    forward(request, response)
  })
  server.on('connection', (socket) => sockets.add(socket))
  server.on('upgrade', (request: IncomingMessage, client: Duplex, head: Buffer) => {
    tunnel(request, client as Socket, head)
  })
  Object.assign(server, {
    shouldUpgradeCallback: ({ headers }: IncomingMessage) => headers.upgrade?.toLowerCase() === 'websocket',
  })

  function tunnel({ url = '', rawHeaders }: IncomingMessage, client: Socket, head: Buffer): void {
    const far = connect(Number(port), hostname)
    const headers = [
      'Host',
      `${hostname}:${port}`,
      'Authorization',
      'Bearer key',
      ...without(rawHeaders, /^(?:host|authorization)$/i),
    ]
    const lines = headers.flatMap((name, at) => (at % 2 === 0 ? [`${name}: ${headers[at + 1]}`] : []))
    far.write(Buffer.concat([Buffer.from(`GET ${url} HTTP/1.1\r\n${lines.join('\r\n')}\r\n\r\n`, 'latin1'), head]))
    for (const [from, to] of [
      [client, far],
      [far, client],
    ] as const) {
      from.on('data', (bytes: Buffer) => to.write(vice === 'forgets close reasons' ? withoutReason(bytes) : bytes))
      from.on('end', () => to.end())
      from.on('error', () => to.destroy())
      from.on('close', () => to.destroy())
    }
  }

  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.teardown(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return { baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`, token: TOKEN }
}

function without(raw: readonly string[], names: RegExp): string[] {
  return raw.filter((_each, at) => !names.test(raw[at - (at % 2)] ?? ''))
}

function rewritten(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text))
  } catch {
    return text
  }
}

/** Writes an answer when all of it is there. */
async function collect(answer: IncomingMessage, response: ServerResponse): Promise<void> {
  try {
    response.end(Buffer.concat(await answer.toArray()))
  } catch {
    response.destroy()
  }
}

/** Takes the reason out of an unmasked close frame that comes alone. */
function withoutReason(bytes: Buffer): Buffer {
  if (bytes[0] !== 0x88 || bytes.length < 5 || bytes.length !== 2 + (bytes[1] ?? 0)) return bytes
  return Buffer.concat([Buffer.from([0x88, 2]), bytes.subarray(2, 4)])
}
