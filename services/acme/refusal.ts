import type { Clock } from '../clock.ts'
import { readRetryAfter } from '../retry-after.ts'
import { AcmeError } from './error.ts'
import type { AcmeProblem } from './index.ts'
import { readProblem } from './problem.ts'
import type { AcmeAnswer } from './transport.ts'

/** Makes the error of an answer that is not a success. `asked` completes "refused": `to make the order`. */
export function createRefusal(directory: string, asked: string, answer: AcmeAnswer, clock: Clock): AcmeError {
  const problem = readProblem(answer, clock)
  const { status, headers } = answer
  const retryAfterMs = readRetryAfter(headers, clock)
  return new AcmeError(directory, describe(new URL(answer.url).host, asked, answer, problem), {
    problem,
    retryAfterMs,
    answered: status,
  })
}

function describe(
  host: string,
  asked: string,
  { status, headers }: AcmeAnswer,
  problem: AcmeProblem | undefined,
): string {
  if (problem !== undefined) return `${host} refused ${asked}: ${describeProblem(problem)}`
  if (status >= 300 && status < 400) {
    const target = URL.parse(headers['location'] ?? '')?.origin ?? 'another address'
    return `${host}, asked ${asked}, answered with a redirect to ${target}, which is not followed. Set SOAKP_ACME_DIRECTORY to the address it leads to.`
  }
  if (status >= 500 || status === 429) {
    return `${host}, asked ${asked}, could not do so now (HTTP ${status}): it is asked again later.`
  }
  return `${host}, asked ${asked}, answered with HTTP ${status} and no explanation. Look at SOAKP_ACME_DIRECTORY, and at proxies that answer in its place.`
}

/** Puts a problem into words: the authority's own, those about single names, and what to do. */
export function describeProblem({ type, detail, subproblems }: AcmeProblem): string {
  const about = subproblems.slice(0, 10).map((part) => `${part.name ?? 'a name'}: ${part.detail} (${part.type})`)
  const kind = type === '' ? '' : ` (${type})`
  const text = [`${detail === '' ? 'no explanation' : detail.replace(/\.$/, '')}${kind}`, ...about].join('; ')
  const advice = advices[type]
  return advice === undefined ? `${text}.` : `${text}. ${advice}`
}

const advices: Readonly<Partial<Record<string, string>>> = {
  accountDoesNotExist: 'The account is unknown there: another is made by the next attempt.',
  alreadyReplaced: 'The certificate was renewed already: the order is made again without saying what it replaces.',
  badCSR: 'Look whether the authority allows all the names in one certificate.',
  badSignatureAlgorithm: 'The authority takes no ES256 keys: use another one.',
  caa: 'A CAA record of the domain forbids this authority: add one that allows it.',
  connection: "The domain's name servers could not be reached: look at its NS records.",
  dns: "The domain's name servers did not answer as they should: look at its NS records and DNSSEC.",
  externalAccountRequired: 'Set SOAKP_ACME_EAB_KID and SOAKP_ACME_EAB_HMAC to what the authority gave you.',
  incorrectResponse:
    'The TXT record held another value: look for other programs that write it, and for slow name servers.',
  invalidContact: 'Set SOAKP_ACME_EMAIL to an address that the authority takes.',
  invalidProfile: 'Set SOAKP_ACME_PROFILE to a profile that the authority has.',
  rateLimited: 'It is not asked again before the time it gave.',
  rejectedIdentifier: 'The authority does not certify this name: use others in SOAKP_DOMAIN, or another authority.',
  serverInternal: 'The fault is on their side: it is asked again later.',
  unsupportedContact: 'Set SOAKP_ACME_EMAIL to an address that the authority takes.',
  unsupportedIdentifier: 'The authority does not certify this kind of name: use others in SOAKP_DOMAIN.',
  userActionRequired: 'The authority wants you to visit its site, most likely for new terms of service.',
}
