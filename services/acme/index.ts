/** A certificate authority's directory (RFC 8555 section 7.1.1), as far as it is used. */
export interface AcmeDirectory {
  readonly url: string
  readonly termsOfService: string | undefined
  readonly website: string | undefined
  readonly caaIdentities: readonly string[]
  readonly externalAccountRequired: boolean
  /** Profile names and what the authority says of them; empty where it has none. */
  readonly profiles: Readonly<Record<string, string>>
  readonly hasRenewalInfo: boolean
  /** Milliseconds by which the authority's clock (`Date` header) is ahead of ours. */
  readonly clockOffsetMs: number | undefined
}

/** An order (RFC 8555 section 7.1.3). Times are Unix milliseconds. */
export interface AcmeOrder {
  readonly url: string
  readonly status: 'pending' | 'ready' | 'processing' | 'valid' | 'invalid'
  readonly names: readonly string[]
  readonly authorizations: readonly string[]
  readonly finalize: string
  readonly certificate: string | undefined
  readonly expires: number | undefined
  readonly profile: string | undefined
  readonly error: AcmeProblem | undefined
  /** What the answer's Retry-After says. */
  readonly retryAfterMs: number | undefined
}

/** An authorization with its dns-01 challenge (RFC 8555 section 7.1.4); challenges of other types are passed over. */
export interface AcmeAuthorization {
  readonly url: string
  /** Without `*.`. */
  readonly domain: string
  readonly isWildcard: boolean
  readonly status: 'pending' | 'valid' | 'invalid' | 'deactivated' | 'expired' | 'revoked'
  readonly challenge: AcmeChallenge | undefined
  readonly retryAfterMs: number | undefined
}

/** A dns-01 challenge. `value` is what the TXT record must hold. */
export interface AcmeChallenge {
  readonly url: string
  readonly status: 'pending' | 'processing' | 'valid' | 'invalid'
  readonly value: string
  readonly error: AcmeProblem | undefined
}

/** A problem document (RFC 8555 section 6.7). `type` is the last part, `rateLimited`. */
export interface AcmeProblem {
  readonly type: string
  readonly detail: string
  readonly status: number
  readonly subproblems: readonly {
    readonly type: string
    readonly detail: string
    readonly name: string | undefined
  }[]
  readonly retryAfterMs: number | undefined
}

/** The window in which an authority wants a certificate to be renewed (RFC 9773). Times are Unix milliseconds. */
export interface RenewalWindow {
  readonly start: number
  readonly end: number
  readonly explanationUrl: string | undefined
  /** When to ask again, kept between one minute and one day. */
  readonly retryAfterMs: number
}

/** What an order asks for. */
export interface OrderRequest {
  readonly names: readonly string[]
  readonly profile?: string | undefined
  /** The ARI certificate id that it replaces. */
  readonly replaces?: string | undefined
}

/** How an account is made. */
export interface AccountRequest {
  readonly email: string | undefined
  readonly externalAccount?: { readonly kid: string; readonly hmac: string } | undefined
}

/**
 * Speaks ACME with one authority under one account key. Each call is one exchange, bounded in time, and rejects at once
 * when aborted. Throws `AcmeError`: `problem` is the authority's, absent when it could not be reached or understood.
 * Nothing is repeated but what a bad nonce asks for, with a new nonce.
 */
export interface AcmeClient {
  readDirectory(signal: AbortSignal): Promise<AcmeDirectory>
  /** Finds the account of the key, or makes it; returns its URL, which later calls are signed with. */
  findOrMakeAccount(request: AccountRequest, signal: AbortSignal): Promise<string>
  /** Finds the account of the key; undefined where the authority knows none. */
  findAccount(signal: AbortSignal): Promise<string | undefined>
  /** Tells where the account's holder is reached from now on; undefined for nowhere. */
  changeContact(email: string | undefined, signal: AbortSignal): Promise<void>
  createOrder(request: OrderRequest, signal: AbortSignal): Promise<AcmeOrder>
  readOrder(url: string, signal: AbortSignal): Promise<AcmeOrder>
  readAuthorization(url: string, signal: AbortSignal): Promise<AcmeAuthorization>
  /** Tells the authority that the record stands. */
  answerChallenge(url: string, signal: AbortSignal): Promise<void>
  /** Gives an authorization up, so that a pending one does not count against the account. */
  deactivateAuthorization(url: string, signal: AbortSignal): Promise<void>
  /** `csr` is PEM. */
  finalize(order: Pick<AcmeOrder, 'url' | 'finalize'>, csr: string, signal: AbortSignal): Promise<AcmeOrder>
  /** The chain in PEM, leaf first. `preferredRoot` is the common name of the root that an alternate chain should lead to. */
  readCertificate(url: string, signal: AbortSignal, preferredRoot?: string): Promise<string>
  /** Undefined where the authority does not offer it or does not know the certificate. */
  readRenewalWindow(certificateId: string, signal: AbortSignal): Promise<RenewalWindow | undefined>
  /**
   * Revokes by the account, or by the certificate's own key. `reason` is of RFC 5280 section 5.3.1. What is revoked
   * already is fine.
   */
  revoke(certificate: string, reason: number, signal: AbortSignal, certificateKey?: string): Promise<void>
  /** Rolls the account over to a new key, having proved that the authority took it. The client signs with it from then on. */
  changeKey(newKey: string, signal: AbortSignal): Promise<void>
  /** Ends connections. */
  close(): Promise<void>
}
