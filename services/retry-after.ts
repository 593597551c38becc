import type { Clock } from './clock.ts'
import type { HttpAnswer } from './http-exchange.ts'

const MONTH_MS = 31 * 86_400_000

/**
 * Reads a Retry-After header (RFC 9110 section 10.2.3), seconds or a date, as milliseconds from now, at most `mostMs`. A
 * date is held against the answer's own `date`, so that a wrong clock here does not matter. Undefined where it says
 * nothing sensible.
 */
export function readRetryAfter(
  { 'retry-after': value, date }: HttpAnswer['headers'],
  clock: Clock,
  mostMs = MONTH_MS,
): number | undefined {
  const text = value?.trim() ?? ''
  if (/^\d+$/.test(text)) return Math.min(Number(text) * 1000, mostMs)
  const until = readHttpDate(text)
  if (until === undefined) return undefined
  const since = readHttpDate(date) ?? clock.now()
  return Math.min(Math.max(until - since, 0), mostMs)
}

/** Reads an HTTP date, `Sun, 06 Nov 1994 08:49:37 GMT`, as Unix milliseconds. */
export function readHttpDate(value: string | undefined): number | undefined {
  if (value === undefined || !/^[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$/.test(value.trim())) {
    return undefined
  }
  const time = Date.parse(value)
  return Number.isNaN(time) ? undefined : time
}
