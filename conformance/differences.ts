/**
 * What a proxy of this kind may do to a message, and why. Whatever else differs is a fault. A difference is allowed, not
 * demanded: who passes more on does not fail.
 */
export const DIFFERENCES = {
  credentials: "the caller's token is replaced by the key; other credentials and cookies of the caller stay",
  connection: 'headers that are about one connection are left out or written anew (RFC 9110 section 7.6.1), as is Host',
  framing: 'Content-Length and chunks may replace each other; of a body cut short, or answered early, less may be sent',
  front: "what tells of the caller's own front and page stays (X-Forwarded-*, Via, Origin, Referer, Sec-*)",
  interim: 'interim answers (1xx) and trailers are optional (RFC 9110 sections 15.2 and 6.5); 100 Continue is local',
  account: "what frames the upstream's origin or names its account stays (Set-Cookie, CORS, HSTS, Alt-Svc)",
  gateway: '502 replaces a 401, which is about the key, and an answer that broke before it was passed on',
  refusal: 'targets with .., \\ or broken escapes, unknown methods and no media types may be refused, unsent',
  reason: 'bytes of a reason phrase beyond ASCII are obsolete (RFC 9112 section 4) and may be left out',
  http2: 'HTTP/2 has header names in lower case and grouped, no reason phrases, and here no status above 599',
  server: "Server and Via are each one's own, and so is Date where the upstream sent none (RFC 9110 section 6.6.1)",
  frames: 'WebSocket messages may be in other fragments; handshake keys, masks and extensions are per connection',
} as const

/** A name of the table. */
export type DifferenceKind = keyof typeof DIFFERENCES

/** What differs between a call to the upstream and the same call through the proxy. Without a kind it is a fault. */
export interface Difference {
  readonly kind: DifferenceKind | undefined
  readonly what: string
}

/** Creates an allowed difference. */
export function allowed(kind: DifferenceKind, what: string): Difference {
  return { kind, what }
}

/** Creates a fault. */
export function fault(what: string): Difference {
  return { kind: undefined, what }
}

/** Shows bytes in a sentence. */
export function shown(text: string | undefined): string {
  if (text === undefined) return 'nothing'
  return JSON.stringify(text.length > 120 ? `${text.slice(0, 100)}… (${text.length} bytes)` : text)
}
