import type { Clock } from '../clock.ts'
import { DnsProviderError } from '../dns-errors.ts'
import type { DnsFaultKind } from '../dns-errors.ts'
import type { HttpAnswer } from '../http-exchange.ts'
import { readRetryAfter } from '../retry-after.ts'
import type { Secret } from '../secret.ts'
import { serviceUrl } from '../service-url.ts'
import { faultOfStatus, sentenceOf } from './http-faults.ts'
import { NoAnswer, createHttpTransport } from './http-transport.ts'
import type { HttpCall } from './http-transport.ts'
import { createRedactor } from './redaction.ts'

/** What an API's error answer says about itself, as far as it is understood. */
export interface HttpFault {
  readonly kind?: DnsFaultKind | undefined
  /** In the API's own words. */
  readonly said?: string | undefined
  /** What to do about it, a sentence of ours. */
  readonly advice?: string | undefined
}

/** How an API is called. */
export interface HttpApiOptions {
  /** Name in the configuration, `cloudflare`. */
  readonly provider: string
  /** Name in sentences, `Cloudflare`. */
  readonly title: string
  /** https, or http on loopback. */
  readonly baseUrl: string
  readonly clock: Clock
  /** Never shown, not even where the API repeats them. */
  readonly secrets: readonly (Secret | undefined)[]
  /** Returns the headers that authorise a call; it is asked again for each attempt. */
  readonly authorize: (call: HttpCall) => Readonly<Record<string, string>>
  /** Reads an error answer; what it leaves open is told by the status. */
  readonly readFault?: (answer: HttpAnswer) => HttpFault | undefined
  /** What to do when the credentials are not accepted, a sentence. */
  readonly credentialsAdvice: string
  /** For one attempt, from connecting to the last byte. */
  readonly timeoutMs?: number
}

/** What one call adds. */
export interface CallOptions {
  readonly signal: AbortSignal
  readonly query?: Readonly<Record<string, string>>
  readonly body?: { readonly type: string; readonly text: string }
  /** Tells of an answer other than 2xx that it is fine, too: what was to be removed is gone, say. */
  readonly isFine?: ((answer: HttpAnswer) => boolean) | undefined
}

/** Calls one HTTP API. Whatever goes wrong is a `DnsProviderError`; an abort rejects at once with the signal's reason. */
export interface HttpApi {
  /** Reads are tried three times where the API is unreachable; writes once, for they may have happened. */
  call(method: HttpCall['method'], path: string, options: CallOptions): Promise<HttpAnswer>
  /** The same, with JSON both ways. */
  json(
    method: HttpCall['method'],
    path: string,
    options: Omit<CallOptions, 'body'> & { readonly body?: unknown },
  ): Promise<unknown>
  /** Makes the error for an answer that is not what the API promises. */
  notUnderstood(what: string): DnsProviderError
  close(): Promise<void>
}

const ACCEPTED = 'application/json, text/xml, */*;q=0.1'
const DAY_MS = 86_400_000
const READ_ATTEMPTS = 3
const SAID_CHARACTERS = 300

/** Creates the caller of an API. Throws `DnsProviderError` where the base URL is none that credentials may be sent to. */
export function createHttpApi(options: HttpApiOptions): HttpApi {
  const { provider, title, clock, timeoutMs = 30_000 } = options
  const baseUrl = readBaseUrl(options)
  const redact = createRedactor(options.secrets)
  const transport = createHttpTransport(timeoutMs)

  const fail = (kind: DnsFaultKind, message: string, more: ConstructorParameters<typeof DnsProviderError>[3] = {}) =>
    new DnsProviderError(provider, kind, redact(message), more)

  async function send(prepared: HttpCall, type: string | undefined, signal: AbortSignal): Promise<HttpAnswer> {
    signal.throwIfAborted()
    const content = type === undefined ? {} : { 'content-type': type }
    const headers = { accept: ACCEPTED, 'user-agent': 'soakp', ...content, ...options.authorize(prepared) }
    try {
      return await transport.send(prepared, headers, signal)
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error
      if (!error.isHeaderRefused) {
        const message = `${title} could not be reached at ${baseUrl.origin}: ${error.message}.`
        throw fail('unreachable', message, { cause: error.cause })
      }
      throw fail('credentials', `${title} cannot be asked: a credential has a character that HTTP does not carry.`)
    }
  }

  function checked(asked: string, answer: HttpAnswer, isFine: CallOptions['isFine']): HttpAnswer {
    if ((answer.status >= 200 && answer.status < 300) || isFine?.(answer) === true) return answer
    const fault = options.readFault?.(answer) ?? {}
    const kind = fault.kind ?? faultOfStatus(answer.status)
    const advice = fault.advice ?? (kind === 'credentials' ? options.credentialsAdvice : undefined)
    const message = sentenceOf({
      kind,
      title,
      asked,
      answer,
      said: redact(fault.said ?? '')
        .slice(0, SAID_CHARACTERS)
        .trim(),
      advice,
    })
    throw fail(kind, message, { retryAfterMs: readRetryAfter(answer.headers, clock, DAY_MS) })
  }

  async function call(
    method: HttpCall['method'],
    path: string,
    { signal, query = {}, body, isFine }: CallOptions,
  ): Promise<HttpAnswer> {
    const parameters = Object.entries(query).map((pair) => pair.map(encodeURIComponent).join('='))
    const url = new URL(baseUrl.href.replace(/\/$/, '') + path)
    url.search = parameters.join('&')
    const prepared: HttpCall = { method, url, body: body?.text ?? '' }
    for (let attempt = 1; ; attempt += 1) {
      try {
        return checked(`${method} ${path}`, await send(prepared, body?.type, signal), isFine)
      } catch (error) {
        const isUnreachable = error instanceof DnsProviderError && error.kind === 'unreachable'
        if (method !== 'GET' || !isUnreachable || attempt === READ_ATTEMPTS) throw error
        await clock.sleep(300 * 2 ** attempt * (0.5 + clock.random()), signal)
      }
    }
  }

  async function json(method: HttpCall['method'], path: string, { body, ...rest }: Parameters<HttpApi['json']>[2]) {
    const text = body === undefined ? undefined : { type: 'application/json', text: JSON.stringify(body) }
    const answer = await call(method, path, text === undefined ? rest : { ...rest, body: text })
    try {
      return JSON.parse(answer.text) as unknown
    } catch {
      throw notUnderstood('that is no JSON')
    }
  }

  function notUnderstood(what: string): DnsProviderError {
    const advice = 'Is SOAKP_DNS_API_URL right, and no proxy in between?'
    return fail('unreachable', `${title} gave an answer ${what}. ${advice}`)
  }

  return { call, json, notUnderstood, close: () => transport.close() }
}

function readBaseUrl({ provider, title, baseUrl }: HttpApiOptions): URL {
  const url = serviceUrl(baseUrl)
  if (url !== undefined) return new URL(url)
  const rule = 'https (or http on this machine), without a user, a password, a query or a fragment'
  throw new DnsProviderError(provider, 'credentials', `The URL of ${title} must be ${rule}.`)
}
