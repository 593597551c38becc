import type { Test } from 'tap'
import { startSoakp } from './soakp.ts'
import type { LimitsConfiguration } from '../../services/limits-configuration.ts'
import type { TestSoakp } from './soakp.ts'
import { answerText, exchange, startRawUpstream } from './wire.ts'
import type { RawHandler, RawRequest, RawUpstream } from './wire.ts'

/** The upstream key of raw upstreams. */
export const RAW_KEY = 'sk-proj-raw-upstream-0123456789'

/** A short answer. */
export const OK = answerText(['HTTP/1.1 200 OK', 'Content-Length: 2'], 'ok')

/** A call as it was on both sides. */
export interface Passed {
  /** What the client got, without `Date` and `Connection`, which are a server's own. */
  readonly answer: string
  readonly request: RawRequest
  readonly body: string
}

/** A SOAKP on plain HTTP before a raw upstream. */
export interface Passing {
  readonly soakp: TestSoakp
  readonly upstream: RawUpstream
  /** The header line with a token. */
  readonly authorization: string
  /** What SOAKP logged. */
  readonly logs: readonly string[]
  /** Sends one request that is answered by a handler; returns what the client got until its connection ended. */
  readonly ask: (handler: RawHandler, lines?: readonly string[], body?: string) => Promise<string>
  /**
   * Sends one request that is answered with these bytes, with the end of the connection after them if it is the last.
   * Asserts that there was exactly one upstream call.
   */
  readonly pass: (
    lines: readonly string[],
    options?: { body?: string; answer?: string; isLast?: boolean },
  ) => Promise<Passed>
}

/** Starts a SOAKP before a raw upstream; both end with the test. */
export async function startPassing(
  t: Test,
  environment: Record<string, string> = {},
  limits: Partial<LimitsConfiguration> = {},
): Promise<Passing> {
  const upstream = await startRawUpstream(t)
  const logs: string[] = []
  const settings = { SOAKP_UPSTREAM: upstream.url, SOAKP_TLS: 'off', SOAKP_LOG_LEVEL: 'debug', ...environment }
  const soakp = await startSoakp(t, settings, { logs, limits })
  const { token } = await soakp.saveKey({ key: RAW_KEY })
  const authorization = `Authorization: Bearer ${token}`

  const ask: Passing['ask'] = (handler, lines = ['GET /v1/x HTTP/1.1'], body = '') => {
    upstream.answer(handler)
    return exchange(t, soakp, [...lines, authorization], body)
  }

  return {
    soakp,
    upstream,
    authorization,
    logs,
    ask,
    async pass(lines, { body = '', answer = OK, isLast = false } = {}) {
      const before = upstream.requests.length
      let received = ''
      const passed = await ask(
        async (request) => {
          received = await request.body()
          request.wire.write(answer)
          if (isLast) request.wire.socket.end()
        },
        lines,
        body,
      )
      const request = upstream.requests[before]
      t.equal(upstream.requests.length, before + 1, 'one call is one upstream call')
      if (request === undefined) throw new Error(`nothing reached the upstream: ${passed}`)
      return { answer: withoutOwn(passed), request, body: received }
    },
  }
}

function withoutOwn(answer: string): string {
  const end = answer.indexOf('\r\n\r\n')
  return answer.slice(0, end).replaceAll(/\r\n(?:Date|Connection): [^\r]*/g, '') + answer.slice(end)
}
