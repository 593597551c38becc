import { words } from './words.ts'

/**
 * Response headers that pages may read; with credentials in play there is no wildcard, so each is listed.
 * Without them the SDK's `request_id` and rate-limit headers are null in a browser.
 */
const EXPOSED = [
  ...words('x-request-id openai-processing-ms openai-version retry-after retry-after-ms x-should-retry'),
  ...words('x-ratelimit-limit-requests x-ratelimit-limit-tokens x-ratelimit-remaining-requests'),
  ...words('x-ratelimit-remaining-tokens x-ratelimit-reset-requests x-ratelimit-reset-tokens location'),
].join(', ')

/** Headers of every answer to a page of an allowed origin (Fetch standard, "CORS protocol"). */
export function corsHeaders(origin: string): Record<string, string> {
  return { 'access-control-allow-origin': origin, vary: 'Origin', 'access-control-expose-headers': EXPOSED }
}

/**
 * Headers of the answer to a preflight from an allowed origin. The requested headers are echoed, because the SDK sends a
 * dozen and new ones come with each version; which of them go on is decided elsewhere.
 */
export function preflightHeaders(origin: string, requestedHeaders: string | undefined): Record<string, string> {
  return {
    'access-control-allow-origin': origin,
    'access-control-allow-methods': 'GET, POST, PUT, PATCH, DELETE',
    'access-control-max-age': '7200',
    vary: 'Origin, Access-Control-Request-Method, Access-Control-Request-Headers',
    ...(requestedHeaders !== undefined && { 'access-control-allow-headers': requestedHeaders }),
  }
}
