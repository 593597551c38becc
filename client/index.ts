/** How a page reaches SOAKP. */
export interface SoakpOptions {
  /** Where SOAKP is, such as `https://ai.example.com`. */
  readonly address: string
  /** Gets a token for the user of the page, as a rule from a route of the app's own server. Called when one is needed. */
  readonly token: () => string | Promise<string>
  /** The `fetch` to call with; the platform's unless given. */
  readonly fetch?: typeof globalThis.fetch
  /** Milliseconds since 1970; `Date.now` unless given. */
  readonly now?: () => number
}

/** The options that the OpenAI SDK takes. */
export interface SoakpClientOptions {
  readonly baseURL: string
  /** Returns a token that is good, after getting one where there is none. */
  readonly apiKey: () => Promise<string>
  /** Calls with a good token; also by hand, where a path is enough: `fetch('/soakp/me')`. */
  readonly fetch: typeof globalThis.fetch
  /**
   * Tells the SDK that the page may have its `apiKey`. The danger it is named for is an API key, good for everything and
   * for long, in a place where every visitor can read it. Here it is a token that lives for minutes, names one user and can
   * be bound to the page's origin, to paths and to a number of calls; the key stays on the server.
   */
  readonly dangerouslyAllowBrowser: true
}

/**
 * Returns options for the OpenAI SDK: `new OpenAI(soakp({ address: 'https://ai.example.com', token: fetchToken }))`.
 * Before a token expires the next call gets another; a call that is refused because its token is not good any more is
 * made once more with another. Calls that need one at the same time share it. The token goes to the address only.
 */
export function soakp({ address, token, now = Date.now, fetch = platformFetch }: SoakpOptions): SoakpClientOptions {
  const base = new URL(address.replace(/\/*$/, '/'))
  const goodToken = createTokenSource(token, now)

  return {
    baseURL: new URL('v1', base).href,
    apiKey: () => goodToken(),
    dangerouslyAllowBrowser: true,

    async fetch(input, init) {
      const isRequest = input instanceof Request
      const url = new URL(isRequest ? input.url : input, base)
      if (url.origin !== base.origin) return fetch(input, init)

      function send(bearer: string): Promise<Response> {
        const headers = new Headers(init?.headers ?? (isRequest ? input.headers : undefined))
        headers.set('authorization', `Bearer ${bearer}`)
        return fetch(isRequest ? input : url, { ...init, headers })
      }

      const used = await goodToken()
      const answer = await send(used)
      if (!(await isTokenRefused(answer))) return answer
      const another = await goodToken(used)
      // What was streamed once cannot be sent again.
      if (another === used || isRequest || init?.body instanceof ReadableStream) return answer
      await answer.body?.cancel()
      return send(another)
    },
  }
}

/**
 * Returns the subprotocols for a socket to the Realtime API: `new WebSocket(url, realtimeProtocols(token))`. A page can
 * set no headers on a socket, so the token travels in one of them; SOAKP takes it out and answers `realtime`.
 */
export function realtimeProtocols(token: string): string[] {
  return ['realtime', `openai-insecure-api-key.${token}`]
}

const MARGIN_MS = 30_000

/** Creates the function that returns a good token; the one that was refused, where there is one, is not good. */
function createTokenSource(get: SoakpOptions['token'], now: () => number): (refused?: string) => Promise<string> {
  let known: { readonly token: string; readonly renewAtMs: number } | undefined
  let renewal: Promise<string> | undefined

  async function renew(): Promise<string> {
    const token: unknown = await get()
    if (typeof token !== 'string' || token === '') throw new TypeError('The token function has to return a token.')
    const leftMs = expiryMs(token) - now()
    // Expired on arrival means that the clock here is wrong. Then only the server tells when a token has ended.
    known = { token, renewAtMs: leftMs > 0 ? now() + leftMs - Math.min(MARGIN_MS, leftMs / 2) : Infinity }
    return token
  }

  return async (refused) => {
    if (known !== undefined && known.token !== refused && now() < known.renewAtMs) return known.token
    renewal ??= renew().finally(() => (renewal = undefined))
    return renewal
  }
}

/** Reads when a JWT expires (RFC 7519 section 4.1.4). Whether it is genuine is the server's to say. */
function expiryMs(token: string): number {
  try {
    const payload = token.split('.')[1] ?? ''
    const { exp } = JSON.parse(atob(payload.replaceAll('-', '+').replaceAll('_', '/'))) as { exp?: unknown }
    return typeof exp === 'number' ? exp * 1000 : Infinity
  } catch {
    return Infinity
  }
}

async function isTokenRefused(answer: Response): Promise<boolean> {
  if (answer.status !== 401) return false
  const body: unknown = await answer
    .clone()
    .json()
    .catch(() => undefined)
  return (body as { error?: { code?: unknown } } | undefined)?.error?.code === 'SOAKP_TOKEN_REFUSED'
}

/** Looked up at each call: a page may wrap `fetch`, and it has to be called on its window. */
function platformFetch(input: string | URL | Request, init?: RequestInit): Promise<Response> {
  return globalThis.fetch(input, init)
}
