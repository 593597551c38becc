import type { Clock } from '../clock.ts'
import { isObject, readJson, readText, readTexts, readTime } from '../json.ts'
import { readRetryAfter } from '../retry-after.ts'
import { AcmeError } from './error.ts'
import type { AcmeOrder } from './index.ts'
import { cleanText, toProblem } from './problem.ts'
import type { AcmeAnswer } from './transport.ts'

/** Of a profile's name, which is shown and noted. */
const MOST_LETTERS = 64
const STATUSES = ['pending', 'ready', 'processing', 'valid', 'invalid'] as const

/** Reads an order out of an answer. Throws `AcmeError` for what is none. */
export function readOrder(directory: string, url: string, answer: AcmeAnswer, clock: Clock): AcmeOrder {
  const value = readJson(answer.text)
  if (!isObject(value)) throw createParseError(directory, answer, 'is no order')
  const status = STATUSES.find((known) => known === value['status'])
  if (status === undefined) throw createParseError(directory, answer, 'is an order of an unknown status')
  const finalize = readText(value['finalize'])
  if (finalize === undefined) throw createParseError(directory, answer, 'is an order that cannot be finalized')
  const identifiers = Array.isArray(value['identifiers']) ? value['identifiers'].filter(isObject) : []
  return {
    url,
    status,
    names: readTexts(identifiers.filter(({ type }) => type === 'dns').map((identifier) => identifier['value'])),
    authorizations: readTexts(value['authorizations']),
    finalize,
    certificate: readText(value['certificate']),
    expires: readTime(value['expires']),
    profile: cleanText(value['profile'], MOST_LETTERS),
    error: toProblem(value['error']),
    retryAfterMs: readRetryAfter(answer.headers, clock),
  }
}

/** Reads the order that was made, with the address that the answer gives it. */
export function readNewOrder(directory: string, answer: AcmeAnswer, clock: Clock): AcmeOrder {
  const location = readText(answer.headers['location'])
  const url = location === undefined ? null : URL.parse(location, answer.url)
  if (url === null) throw createParseError(directory, answer, 'is an order without an address')
  return readOrder(directory, url.href, answer, clock)
}

/** Makes the error of an answer that cannot be understood. `fault` completes "What … answers". */
export function createParseError(directory: string, answer: AcmeAnswer, fault: string): AcmeError {
  const message = `What ${new URL(answer.url).host} answers ${fault}: it is asked again later. Look for proxies that answer in its place.`
  return new AcmeError(directory, message, { answered: answer.status })
}
