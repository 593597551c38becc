import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer as createTlsServer } from 'node:https'
import type { AddressInfo } from 'node:net'
import { text } from 'node:stream/consumers'
import type { Test } from 'tap'

/** A call as a fake saw it. */
export interface FakeCall {
  readonly method: string
  readonly path: string
  readonly query: URLSearchParams
  readonly url: URL
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly body: string
}

/** What a fake answers. */
export interface FakeAnswer {
  readonly status: number
  readonly headers?: Readonly<Record<string, string>>
  readonly body: string
}

/** What goes wrong with the next calls that it is for. */
export interface Fault {
  readonly on: 'read' | 'write'
  /** One call unless given. */
  readonly times?: number
  /** `before` the call is carried out, so that nothing happens, or `after`, so that the answer alone is lost. */
  readonly when: 'before' | 'after'
  /** An answer, or a connection that breaks, or one that is silent for ever; undefined: the call goes on as usual. */
  readonly answer?: FakeAnswer | 'reset' | 'silence'
  /** Happens at that moment: somebody else writes, say. */
  readonly meanwhile?: () => void
}

/** A service that a provider calls, and the means to make it fail. */
export interface FakeServer {
  /** `http://127.0.0.1:PORT` */
  readonly url: string
  readonly port: number
  /** All calls so far, those of faults among them. */
  readonly calls: readonly FakeCall[]
  fail(fault: Fault): void
}

/** How a fake listens: plain HTTP unless it has a certificate. */
export interface FakeListener {
  readonly certificate?: { readonly key: string; readonly cert: string }
}

/** Starts a server on loopback that ends with the test. */
export async function startFakeServer(
  t: Test,
  answer: (call: FakeCall) => FakeAnswer,
  { certificate }: FakeListener = {},
): Promise<FakeServer> {
  const calls: FakeCall[] = []
  const faults: { times: number; readonly fault: Fault }[] = []

  function takeFault(call: FakeCall): Fault | undefined {
    const kind = call.method === 'GET' ? 'read' : 'write'
    const next = faults.find(({ times, fault }) => times > 0 && fault.on === kind)
    if (next !== undefined) next.times -= 1
    return next?.fault
  }

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const call = await readCall(request)
    calls.push(call)
    const fault = takeFault(call)
    if (fault?.when === 'before') fault.meanwhile?.()
    const isLost = fault?.when === 'before' && fault.answer !== undefined
    const usual = isLost ? undefined : answer(call)
    if (fault?.when === 'after') fault.meanwhile?.()
    const given = fault?.answer ?? usual
    if (given === 'silence' || given === undefined) return
    if (given === 'reset') return void request.socket.destroy()
    response.writeHead(given.status, given.headers).end(given.body)
  }

  const listener = (request: IncomingMessage, response: ServerResponse) => {
    handle(request, response).catch((error: unknown) => response.writeHead(599).end(String(error)))
  }
  const server = certificate === undefined ? createServer(listener) : createTlsServer(certificate, listener)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.teardown(async () => {
    const closed = new Promise((resolve) => server.close(resolve))
    server.closeAllConnections()
    await closed
  })
  const { port } = server.address() as AddressInfo
  const url = `${certificate === undefined ? 'http' : 'https'}://127.0.0.1:${port}`
  return { url, port, calls, fail: (fault) => void faults.push({ times: fault.times ?? 1, fault }) }
}

async function readCall(request: IncomingMessage): Promise<FakeCall> {
  const url = new URL(request.url ?? '/', `http://${request.headers.host ?? 'fake'}`)
  const headers = Object.fromEntries(
    Object.entries(request.headers).map(([name, value]) => [name, Array.isArray(value) ? value.join(', ') : value]),
  )
  const body = await text(request)
  return { method: request.method ?? '', path: url.pathname, query: url.searchParams, url, headers, body }
}

/** Answers JSON. */
export const jsonAnswer = (
  status: number,
  body: unknown,
  headers: Readonly<Record<string, string>> = {},
): FakeAnswer => ({
  status,
  headers: { 'content-type': 'application/json', ...headers },
  body: JSON.stringify(body),
})
