import { words } from './words.ts'

/**
 * Request headers that stay here. Everything else goes on in its order and spelling, because new API features arrive as
 * headers that nobody knew. Names are in lower case.
 */
const REQUEST_HEADERS_KEPT_BACK = new Set([
  // Hop-by-hop (RFC 9110 section 7.6.1) and framing, which undici writes itself.
  ...words('connection keep-alive proxy-connection te trailer transfer-encoding upgrade expect'),
  ...words('http2-settings host'),
  // Credentials.
  ...words('authorization proxy-authorization proxy-authenticate cookie cookie2 api-key x-api-key'),
  // Forwarding, besides every `x-forwarded-` header: they tell of our own front, and upstreams may believe them.
  ...words('forwarded via x-real-ip x-client-ip x-cluster-client-ip cf-connecting-ip true-client-ip fastly-client-ip'),
  ...words('fly-client-ip x-azure-clientip x-envoy-external-address x-appengine-user-ip x-original-forwarded-for'),
  ...words('x-original-url x-rewrite-url x-http-method-override x-http-method x-method-override'),
  ...words('x-forwarded forwarded-for client-ip x-host x-original-host x-http-host-override'),
  // Programs behind CGI take it for the variable that names their own proxy (CVE-2016-5385).
  'proxy',
  // Browser context, besides every `sec-` and `access-control-` header.
  ...words('origin referer dnt'),
])

/** Response headers that stay here, besides every `access-control-` header: they frame a message or name an account. */
const RESPONSE_HEADERS_KEPT_BACK = new Set([
  ...words('connection keep-alive proxy-connection te trailer transfer-encoding upgrade'),
  ...words('proxy-authenticate proxy-authentication-info www-authenticate'),
  ...words('set-cookie set-cookie2 clear-site-data openai-organization openai-project'),
  ...words('alt-svc strict-transport-security public-key-pins expect-ct nel report-to reporting-endpoints'),
  ...words('server via x-powered-by cross-origin-resource-policy'),
  ...words('cross-origin-opener-policy cross-origin-embedder-policy timing-allow-origin service-worker-allowed'),
])

/** The credentials that replace the caller's. */
export interface UpstreamCredentials {
  readonly authorization: string
  readonly organization?: string | undefined
  readonly project?: string | undefined
}

/**
 * Makes the upstream's request headers, a flat list of names and values, from the raw ones of the client
 * (`request.rawHeaders`). An organization and a project that were saved with the key win over the client's.
 */
export function requestHeaders(raw: readonly string[], credentials: UpstreamCredentials): string[] {
  const listed = connectionListed(raw)
  const headers: string[] = ['Authorization', credentials.authorization]
  for (let index = 0; index < raw.length; index += 2) {
    const name = raw[index] ?? ''
    const lower = name.toLowerCase()
    // Behind CGI and WSGI `openai_project` is the same header (CVE-2015-0219), so it has to pass the same checks.
    const dashed = lower.replaceAll('_', '-')
    if (isKeptBack(dashed) || lower === 'content_length' || listed?.has(lower) || name.startsWith(':')) continue
    if (dashed === 'openai-organization' && credentials.organization !== undefined) continue
    if (dashed === 'openai-project' && credentials.project !== undefined) continue
    headers.push(name, raw[index + 1] ?? '')
  }
  if (credentials.organization !== undefined) headers.push('OpenAI-Organization', credentials.organization)
  if (credentials.project !== undefined) headers.push('OpenAI-Project', credentials.project)
  return headers
}

const KEPT_BACK_PREFIXES = ['x-forwarded-', 'sec-', 'access-control-']

function isKeptBack(lower: string): boolean {
  return REQUEST_HEADERS_KEPT_BACK.has(lower) || KEPT_BACK_PREFIXES.some((prefix) => lower.startsWith(prefix))
}

/** Makes the client's response headers from the raw ones of the upstream, as Latin-1, in their order and spelling. */
export function responseHeaders(raw: readonly Buffer[]): string[] {
  const text = raw.map((each) => each.toString('latin1'))
  const listed = connectionListed(text)
  const headers: string[] = []
  for (let index = 0; index < text.length; index += 2) {
    const name = text[index] ?? ''
    const lower = name.toLowerCase()
    if (RESPONSE_HEADERS_KEPT_BACK.has(lower) || lower.startsWith('access-control-') || listed?.has(lower)) continue
    headers.push(name, text[index + 1] ?? '')
  }
  return headers
}

/** Tells whether raw headers name a transfer coding but chunked: nobody asked for it, and nobody here would undo it. */
export function hasUnknownCoding(raw: readonly Buffer[]): boolean {
  return raw.some((name, index) => {
    if (index % 2 !== 0 || name.length !== 17 || name.toString('latin1').toLowerCase() !== 'transfer-encoding')
      return false
    return raw[index + 1]?.toString('latin1').toLowerCase() !== 'chunked'
  })
}

/** Returns the values of a header in a flat list of names and values, joined by commas; `name` is in lower case. */
export function headerValues(headers: readonly string[], name: string): string {
  let values = ''
  for (let index = 0; index < headers.length; index += 2) {
    if (headers[index]?.toLowerCase() === name) values += (values && ', ') + (headers[index + 1] ?? '')
  }
  return values
}

/** Makes the client's reason phrase of undici's, which reads UTF-8 where Node writes Latin-1: the bytes stay the same. */
export function reasonPhrase(reason: string): string {
  if (/^[ -~]*$/.test(reason)) return reason
  return Buffer.from(reason)
    .toString('latin1')
    .replace(/[^\t -~\x80-\xff]/g, '')
}

/** Names that a `Connection` header makes hop-by-hop. `content-length` cannot be: that would unframe the message. */
function connectionListed(raw: readonly string[]): Set<string> | undefined {
  let listed: Set<string> | undefined
  for (let index = 0; index < raw.length; index += 2) {
    if (raw[index]?.toLowerCase() !== 'connection') continue
    for (const each of (raw[index + 1] ?? '').split(',')) {
      const name = each.trim().toLowerCase()
      if (name === '' || name === 'close' || name === 'keep-alive' || name === 'content-length') continue
      listed = (listed ?? new Set()).add(name)
    }
  }
  return listed
}
