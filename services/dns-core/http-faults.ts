import type { DnsFaultKind } from '../dns-errors.ts'
import type { HttpAnswer } from '../http-exchange.ts'

/** Tells what an error's status means where the API says nothing better. */
export function faultOfStatus(status: number): DnsFaultKind {
  if (status === 429) return 'limit'
  if (status === 401 || status === 403) return 'credentials'
  return status >= 500 || status === 408 ? 'unreachable' : 'refused'
}

/** What a sentence about an error answer is made of. */
export interface FaultParts {
  readonly kind: DnsFaultKind
  readonly title: string
  /** Method and path below the API's URL: a program's own URL may hold a secret. */
  readonly asked: string
  readonly answer: HttpAnswer
  /** In the API's words, empty where it says nothing. */
  readonly said: string
  readonly advice: string | undefined
}

/** Writes what went wrong and what to do. */
export function sentenceOf({ kind, title, asked, answer, said, advice }: FaultParts): string {
  const { status } = answer
  const what = {
    credentials: `${title} does not accept the credentials for ${asked}`,
    zone: `${title} has no such zone`,
    limit: `${title} takes no more calls for now`,
    conflict: `${title} was written to by somebody else at the same time`,
    unreachable: `${title} failed at ${asked}`,
    refused:
      status >= 300 && status < 400
        ? `${title} redirected ${asked}, which is not followed`
        : `${title} refused ${asked}`,
  }[kind]
  const words = said === '' ? `HTTP ${status}` : `HTTP ${status}: ${said}`
  return `${what} (${words}).${advice === undefined ? '' : ` ${advice}`}`
}
