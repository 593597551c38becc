import type { RelevantCaa } from '../challenge/caa.ts'

/** Whom CAA records have to let in. */
export interface CaaSubject {
  /** What an authority calls itself: the `caaIdentities` of its directory. */
  readonly identities: readonly string[]
  /** The URL of our account there; undefined before there is one. */
  readonly account: string | undefined
}

/** What CAA records say. `unknown` where the authority's name or our account is not known. */
export type CaaVerdict =
  | { readonly kind: 'allowed' }
  | { readonly kind: 'unknown' | 'refused'; readonly reason: string }

/** Properties that an authority understands (RFC 8659, RFC 9495); an unknown one that is critical forbids everything. */
const KNOWN_TAGS = ['issue', 'issuewild', 'iodef', 'issuemail', 'issuevmc', 'contactemail', 'contactphone']

/**
 * Judges CAA records as an authority does (RFC 8659 section 4, RFC 8657): of the properties that count one must name the
 * authority, and its parameters must allow dns-01 and our account.
 */
export function judgeCaa(records: RelevantCaa['records'], isWildcard: boolean, subject: CaaSubject): CaaVerdict {
  const critical = records.find(({ isCritical, tag }) => isCritical && !KNOWN_TAGS.includes(tag))
  if (critical !== undefined) return { kind: 'refused', reason: `hold the critical property "${critical.tag}"` }
  const wild = records.filter(({ tag }) => tag === 'issuewild')
  const counting = isWildcard && wild.length > 0 ? wild : records.filter(({ tag }) => tag === 'issue')
  if (counting.length === 0) return { kind: 'allowed' }
  const issuers = namesOf(counting)
  if (subject.identities.length === 0 && issuers.length > 0) {
    return { kind: 'unknown', reason: `let in ${issuers.join(', ')} only, and the authority does not tell its name` }
  }
  const verdicts = counting.flatMap(({ value }) => judgeProperty(value, subject) ?? [])
  const best = ['allowed', 'unknown', 'refused'].flatMap((kind) => verdicts.filter((each) => each.kind === kind))
  const only = issuers.length === 0 ? 'let in nobody' : `let in ${issuers.join(', ')} only`
  return best[0] ?? { kind: 'refused', reason: only }
}

/** Undefined where the property names another authority. */
function judgeProperty(value: string, { identities, account }: CaaSubject): CaaVerdict | undefined {
  const [issuer = '', ...parameters] = value.split(';').map((each) => each.trim())
  if (!identities.some((each) => each.toLowerCase() === issuer.toLowerCase())) return undefined
  const valuesOf = (tag: string) =>
    parameters
      .map((each) => /^([^=]*?)\s*=\s*(.*)$/s.exec(each))
      .flatMap((match) => (match?.[1]?.toLowerCase() === tag ? [match[2] ?? ''] : []))
  const refused = valuesOf('validationmethods').find((methods) => !/(?:^|,)\s*dns-01\s*(?:,|$)/i.test(methods))
  if (refused !== undefined) return { kind: 'refused', reason: `allow ${issuer} other proofs than dns-01 (${refused})` }
  const [uri, ...others] = valuesOf('accounturi')
  if (uri === undefined) return { kind: 'allowed' }
  if (others.length > 0)
    return { kind: 'refused', reason: `bind ${issuer} to several accounts at once, which allows none` }
  if (account === uri) return { kind: 'allowed' }
  const bound = `let in ${issuer} for the account ${uri} only`
  if (account === undefined) return { kind: 'unknown', reason: `${bound}, and SOAKP has none there yet` }
  return { kind: 'refused', reason: `${bound}, and SOAKP's is ${account}` }
}

function namesOf(records: RelevantCaa['records']): string[] {
  const names = records.map(({ value }) => value.split(';', 1)[0]?.trim() ?? '')
  return [...new Set(names.filter((each) => each !== ''))]
}
