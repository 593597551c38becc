import type { ServerResponse } from 'node:http'
import { randomHex, randomId } from './ids.ts'

/**
 * Sets what every answer of api.openai.com carries: OpenAI's own headers and those of the Cloudflare in front of it,
 * harmless ones as well as those that a proxy has to keep back (cookies, alt-svc, strict-transport-security).
 */
export function setOpenAIHeaders(response: ServerResponse): void {
  const headers: Readonly<Record<string, string>> = {
    'x-request-id': randomId('req_'),
    'openai-processing-ms': '7',
    'openai-version': '2020-10-01',
    'openai-organization': 'practice-organization',
    'openai-project': 'proj_practice',
    'x-ratelimit-limit-requests': '10000',
    'x-ratelimit-remaining-requests': '9999',
    'x-ratelimit-reset-requests': '6ms',
    'x-ratelimit-limit-tokens': '200000',
    'x-ratelimit-remaining-tokens': '199950',
    'x-ratelimit-reset-tokens': '15ms',
    'access-control-expose-headers': 'X-Request-ID',
    'strict-transport-security': 'max-age=31536000; includeSubDomains; preload',
    'x-content-type-options': 'nosniff',
    server: 'cloudflare',
    'cf-cache-status': 'DYNAMIC',
    'cf-ray': `${randomHex(16)}-TXL`,
    'alt-svc': 'h3=":443"; ma=86400',
  }
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value)
  response.setHeader('set-cookie', [
    `__cf_bm=${randomHex(32)}; path=/; domain=.api.openai.com; HttpOnly; Secure; SameSite=None`,
    `_cfuvid=${randomHex(32)}; path=/; domain=.api.openai.com; HttpOnly; Secure; SameSite=None`,
  ])
}
