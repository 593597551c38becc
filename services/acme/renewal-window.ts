import type { Clock } from '../clock.ts'
import { isObject, readJson, readText, readTime } from '../json.ts'
import { readRetryAfter } from '../retry-after.ts'
import type { RenewalWindow } from './index.ts'
import { createParseError } from './order.ts'
import type { AcmeAnswer } from './transport.ts'

const MINUTE_MS = 60_000
const HOUR_MS = 60 * MINUTE_MS
const DAY_MS = 24 * HOUR_MS

/** Reads when an authority wants a certificate to be renewed (RFC 9773 section 4.2). Throws `AcmeError` for what is no window. */
export function readRenewalWindow(directory: string, answer: AcmeAnswer, clock: Clock): RenewalWindow {
  const value = readJson(answer.text)
  const suggested = isObject(value) && isObject(value['suggestedWindow']) ? value['suggestedWindow'] : {}
  const [start, end] = [readTime(suggested['start']), readTime(suggested['end'])]
  if (start === undefined || end === undefined || end <= start) {
    throw createParseError(directory, answer, 'is no window for a renewal')
  }
  const asked = readRetryAfter(answer.headers, clock) ?? 6 * HOUR_MS
  return {
    start,
    end,
    explanationUrl: readWebAddress(isObject(value) ? value['explanationURL'] : undefined),
    retryAfterMs: Math.min(Math.max(asked, MINUTE_MS), DAY_MS),
  }
}

function readWebAddress(value: unknown): string | undefined {
  const url = URL.parse(readText(value) ?? '')
  return url !== null && /^https?:$/.test(url.protocol) ? url.href.slice(0, 2000) : undefined
}
