import { SoakpError } from './errors.ts'

/** What went wrong at a DNS provider, so that the core knows what to do about it. */
export type DnsFaultKind =
  /** Missing, wrong or too narrow credentials: only the operator can help. */
  | 'credentials'
  /** The account holds no zone of the name. */
  | 'zone'
  /** Too many calls: wait, see `retryAfterMs`. */
  | 'limit'
  /** Somebody else wrote at the same time: read again and repeat. */
  | 'conflict'
  /** No answer, a time-out or a 5xx: the write may or may not have happened. */
  | 'unreachable'
  /** The API refused, and repeating the same call will not help. */
  | 'refused'

/** A fault of a DNS provider. The message says what to do and holds no credential. */
export class DnsProviderError extends SoakpError {
  readonly kind: DnsFaultKind
  readonly provider: string
  readonly retryAfterMs: number | undefined

  constructor(
    provider: string,
    kind: DnsFaultKind,
    message: string,
    { cause, retryAfterMs }: { readonly cause?: unknown; readonly retryAfterMs?: number | undefined } = {},
  ) {
    super(502, `SOAKP_DNS_${kind.toUpperCase()}`, message, { cause })
    this.kind = kind
    this.provider = provider
    this.retryAfterMs = retryAfterMs
  }
}
