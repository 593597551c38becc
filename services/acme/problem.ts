import type { Clock } from '../clock.ts'
import { isObject, readJson, readText } from '../json.ts'
import { readRetryAfter } from '../retry-after.ts'
import type { AcmeProblem } from './index.ts'
import type { AcmeAnswer } from './transport.ts'

const MOST_SUBPROBLEMS = 100
const LONGEST_DETAIL = 1000

/** Reads the problem document (RFC 8555 section 6.7) of an answer; undefined where it holds none. */
export function readProblem(answer: AcmeAnswer, clock: Clock): AcmeProblem | undefined {
  const problem = toProblem(readJson(answer.text), answer.status)
  return (
    problem && {
      ...problem,
      retryAfterMs: readRetryAfter(answer.headers, clock),
    }
  )
}

/** Makes a problem of what a document has as `error`; undefined where that is none. */
export function toProblem(value: unknown, status = 0): AcmeProblem | undefined {
  if (!isObject(value) || (typeof value['type'] !== 'string' && typeof value['detail'] !== 'string')) return undefined
  const subproblems = Array.isArray(value['subproblems']) ? value['subproblems'].filter(isObject) : []
  return {
    type: lastPart(value['type']),
    detail: clean(value['detail']),
    status: typeof value['status'] === 'number' ? value['status'] : status,
    subproblems: subproblems.slice(0, MOST_SUBPROBLEMS).map((subproblem) => ({
      type: lastPart(subproblem['type']),
      detail: clean(subproblem['detail']),
      name: isObject(subproblem['identifier']) ? cleanText(subproblem['identifier']['value'], 255) : undefined,
    })),
    retryAfterMs: undefined,
  }
}

/** Makes the problem of what an authority did wrong without saying so. */
export function createProblem(type: string, detail: string): AcmeProblem {
  return { type, detail, status: 0, subproblems: [], retryAfterMs: undefined }
}

/** `urn:ietf:params:acme:error:rateLimited` becomes `rateLimited`; `about:blank` says nothing (RFC 9457). */
function lastPart(type: unknown): string {
  const part = /[\w-]+$/.exec(readText(type) ?? '')?.[0].slice(0, 64) ?? ''
  return part === 'blank' ? '' : part
}

/** What an authority writes is shown to people: it must not move a terminal's cursor or break a line of the log. */
function clean(text: unknown): string {
  return (readText(text) ?? '')
    .slice(0, LONGEST_DETAIL)
    .replaceAll(/[\s\p{Cc}\p{Cf}]+/gu, ' ')
    .trim()
}

/** Returns the first letters of a text as they may be shown; undefined where there are none. */
export function cleanText(value: unknown, mostLetters: number): string | undefined {
  const text = clean(value).slice(0, mostLetters)
  return text === '' ? undefined : text
}
