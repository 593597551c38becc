import type { Answer } from './faults.ts'

/** A problem document's own words (RFC 8555 section 6.7). `type` is its last part. */
export interface Problem {
  readonly type: string
  readonly detail: string
  readonly identifier?: { readonly type: string; readonly value: string }
}

/** Thrown where a request is refused. */
export class Refused extends Error {
  readonly status: number
  readonly type: string
  readonly extra: Readonly<Record<string, unknown>>
  readonly headers: Readonly<Record<string, string>>

  constructor(
    status: number,
    type: string,
    detail: string,
    extra: Readonly<Record<string, unknown>> = {},
    headers: Readonly<Record<string, string>> = {},
  ) {
    super(detail)
    this.status = status
    this.type = type
    this.extra = extra
    this.headers = headers
  }
}

/** Writes a problem as it stands in documents. */
export function problemDocument({ type, detail, ...rest }: Problem & Readonly<Record<string, unknown>>): object {
  return { type: `urn:ietf:params:acme:error:${type}`, detail, ...rest }
}

/** Makes the answer of a refusal. */
export function answerOf(error: Refused): Answer {
  const { status, type, message, extra, headers } = error
  return {
    status,
    headers: { 'content-type': 'application/problem+json', ...headers },
    body: problemDocument({ type, detail: message, status, ...extra }),
  }
}
