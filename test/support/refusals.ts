import type { Test } from 'tap'
import type { JsonAnswer } from './soakp.ts'

/** The environment of tests for which TLS is not the point. */
export const PLAIN = { SOAKP_TLS: 'off' }

/** Asserts that an answer is a refusal as clients know it from OpenAI, which SDKs do not send again. */
export function isRefused(
  t: Test,
  { status, headers, body }: JsonAnswer,
  expected: { status: number; code: string; param?: string | null },
  name = `${expected.status} ${expected.code}`,
): void {
  const { message, type, code, param, ...rest } = Object(body?.error)
  t.strictSame({ status, code, param }, { param: null, ...expected }, name, { body })
  t.match(message, /^[^\n]{10,}\.$/, `${name}: a sentence`)
  t.type(type, 'string')
  t.strictSame(rest, {}, `${name}: nothing else`)
  t.strictSame(Object.keys(body), ['error'])
  t.match(headers.get('content-type'), /^application\/json/)
  t.match(headers.get('x-request-id'), /^req_/, `${name}: a request id`)
  t.equal(headers.get('x-should-retry'), 'false', `${name}: not to be retried`)
}

/** Makes the header of an admin credential or a token. */
export function bearer(credential: string): { authorization: string } {
  return { authorization: `Bearer ${credential}` }
}

/** Makes the header of HTTP Basic (RFC 7617, UTF-8). */
export function basic(user: string, password: string): { authorization: string } {
  return { authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}` }
}
