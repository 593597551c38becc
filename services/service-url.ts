import { isLoopbackHost } from './base-url.ts'

/**
 * Normalises the URL of a service that credentials go to: https, or http on this machine, without a user, a query, a
 * fragment and a slash at the end. Undefined for what is none.
 */
export function serviceUrl(text: string): string | undefined {
  const url = /^https?:\/\//i.test(text) && URL.canParse(text) ? new URL(text) : undefined
  if (url === undefined || url.username !== '' || url.password !== '' || /[?#\s]/.test(text)) return undefined
  if (url.protocol === 'http:' && !isLoopbackHost(url.hostname)) return undefined
  return url.href.replace(/\/+$/, '')
}
