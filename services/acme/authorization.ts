import type { Clock } from '../clock.ts'
import { isObject, readJson, readText } from '../json.ts'
import { readRetryAfter } from '../retry-after.ts'
import type { AcmeAuthorization, AcmeChallenge } from './index.ts'
import { createParseError } from './order.ts'
import { toProblem } from './problem.ts'
import type { AcmeAnswer } from './transport.ts'
import { challengeValue } from './wire.ts'

const STATUSES = ['pending', 'valid', 'invalid', 'deactivated', 'expired', 'revoked'] as const
/** One is usual; the first good one is taken. */
const MOST_CHALLENGES = 10
const CHALLENGE_STATUSES = ['pending', 'processing', 'valid', 'invalid'] as const

/** Reads an authorization out of an answer. Throws `AcmeError` for what is none. */
export async function readAuthorization(
  directory: string,
  accountKey: string,
  answer: AcmeAnswer,
  clock: Clock,
): Promise<AcmeAuthorization> {
  const value = readJson(answer.text)
  if (!isObject(value)) throw createParseError(directory, answer, 'is no authorization')
  const status = STATUSES.find((known) => known === value['status'])
  if (status === undefined) throw createParseError(directory, answer, 'is an authorization of an unknown status')
  const identifier = isObject(value['identifier']) ? value['identifier'] : {}
  const domain = readText(identifier['value'])?.toLowerCase()
  // It is shown and noted: nothing but a name may stand there.
  if (domain === undefined || !/^[\w*.-]{1,255}$/.test(domain))
    throw createParseError(directory, answer, 'is an authorization for no name')
  const challenges = Array.isArray(value['challenges']) ? value['challenges'].filter(isObject) : []
  const read = await Promise.all(
    challenges
      .filter(({ type }) => type === 'dns-01')
      .slice(0, MOST_CHALLENGES)
      .map((challenge) => readChallenge(accountKey, challenge)),
  )
  return {
    url: answer.url,
    domain: domain.replace(/^\*\./, ''),
    isWildcard: value['wildcard'] === true || domain.startsWith('*.'),
    status,
    challenge: read.find((challenge) => challenge !== undefined),
    retryAfterMs: readRetryAfter(answer.headers, clock),
  }
}

async function readChallenge(
  accountKey: string,
  value: Readonly<Record<string, unknown>>,
): Promise<AcmeChallenge | undefined> {
  const url = readText(value['url'])
  const token = readText(value['token'])
  const status = CHALLENGE_STATUSES.find((known) => known === value['status'])
  if (url === undefined || status === undefined || token === undefined || !/^[\w-]+$/.test(token)) return undefined
  return { url, status, value: await challengeValue(accountKey, token), error: toProblem(value['error']) }
}
