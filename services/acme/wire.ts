import acme from 'acme-client'

/** A signed request as acme-client hands it over to be sent. */
export interface WireRequest {
  readonly url: string
  readonly body: string
}

/** What acme-client looks at of an answer. */
export interface WireAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | undefined>>
  readonly data: unknown
}

/** Where acme-client gets nonces and sends requests, in place of its own transport. */
export interface WireTransport {
  readonly send: (request: WireRequest) => Promise<WireAnswer>
  readonly takeNonce: () => Promise<string>
  /** How often a request is signed and sent again where the nonce was bad. */
  readonly badNonceRetries: number
}

/** How a request is signed (RFC 8555 section 6.2): with the account's URL, or, where `account` is undefined, with the key itself. */
export interface SignOptions {
  readonly accountKey: string
  readonly account: string | undefined
  /** Binds the account to one outside ACME (RFC 8555 section 7.3.4). */
  readonly externalAccount?: { readonly kid: string; readonly hmac: string } | undefined
}

/** The parts of acme-client that are used here and that its types leave out. */
interface Internals {
  maxBadNonceRetries: number
  request: (url: string, method: string, options: { readonly data?: object }) => Promise<WireAnswer>
  getNonce: () => Promise<string>
  getJwk(): object
  createSignedBody(url: string, payload: object): object
  signedRequest(
    url: string,
    payload: object | null,
    options: { readonly kid: string | null; readonly includeExternalAccountBinding: boolean },
  ): Promise<WireAnswer>
}

/**
 * Signs a request and sends it, each time with a new nonce and a new signature. POST-as-GET where `payload` is undefined.
 * Of acme-client 5.4.0 nothing else is used: its own transport sleeps as long as a server says, sends nonces again and
 * loses what went wrong.
 */
export async function postSigned(
  transport: WireTransport,
  url: string,
  payload: object | undefined,
  { accountKey, account, externalAccount }: SignOptions,
): Promise<void> {
  const http = internalsOf(createClient(accountKey, externalAccount))
  http.maxBadNonceRetries = transport.badNonceRetries
  http.getNonce = transport.takeNonce
  http.request = (target, _method, { data }) => transport.send({ url: target, body: JSON.stringify(data) })
  await http.signedRequest(url, payload ?? null, {
    kid: account ?? null,
    includeExternalAccountBinding: externalAccount !== undefined,
  })
}

/** Makes the inner part of a change of keys, signed with the new one (RFC 8555 section 7.3.5). */
export function signKeyChange(url: string, account: string, oldKey: string, newKey: string): object {
  const oldJwk = internalsOf(createClient(oldKey)).getJwk()
  return internalsOf(createClient(newKey)).createSignedBody(url, { account, oldKey: oldJwk })
}

/** Makes what a TXT record must hold to answer a dns-01 challenge (RFC 8555 section 8.4). */
export function challengeValue(accountKey: string, token: string): Promise<string> {
  const challenge = { type: 'dns-01', token, url: '', status: 'pending' } as const
  return createClient(accountKey).getChallengeKeyAuthorization(challenge)
}

function createClient(accountKey: string, externalAccount?: SignOptions['externalAccount']): acme.Client {
  return new acme.Client({
    directoryUrl: '',
    accountKey,
    ...(externalAccount !== undefined && {
      externalAccountBinding: { kid: externalAccount.kid, hmacKey: externalAccount.hmac },
    }),
  })
}

function internalsOf(client: acme.Client): Internals {
  return (client as unknown as { readonly http: Internals }).http
}
