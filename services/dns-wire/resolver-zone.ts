import { SoakpError } from '../errors.ts'
import type { DnsAnswer, DnsQuestion } from './query-answer.ts'
import { ownersOf } from './query-answer.ts'
import { isWithin } from './query-name.ts'
import { NoAnswer } from './query-socket.ts'

/** One address of a name server. */
export interface HostAddress {
  /** The server's host name. */
  readonly name: string
  readonly address: string
}

/** A zone and where it is asked. */
export interface KnownZone {
  readonly name: string
  readonly servers: readonly HostAddress[]
  /** Host names of the parent's delegation; empty where the parent's servers answer for the zone themselves. */
  readonly delegation: readonly string[]
}

/** What a server's answer is worth: an answer of its own, the way further down, or neither, and then why. */
export type Verdict =
  | { readonly kind: 'authoritative'; readonly answer: DnsAnswer }
  | { readonly kind: 'referral'; readonly answer: DnsAnswer; readonly zone: string }
  | { readonly kind: 'lame'; readonly reason: string }
  | { readonly kind: 'silent'; readonly reason: string; readonly hasNoRoute: boolean }

/** Puts a question to an address of an authoritative server. */
export type AskAddress = (address: string, question: DnsQuestion, signal: AbortSignal) => Promise<DnsAnswer>

/** Asks one server of a zone and judges its answer. Rejects only when aborted. */
export async function consult(
  ask: AskAddress,
  zone: string,
  { address }: HostAddress,
  question: DnsQuestion,
  signal: AbortSignal,
): Promise<Verdict> {
  try {
    return judge(await ask(address, question, signal), zone, question)
  } catch (error) {
    signal.throwIfAborted()
    if (!(error instanceof NoAnswer)) throw error
    const reason = error.hasNoRoute ? 'cannot be reached from this machine' : 'does not answer'
    return { kind: 'silent', reason, hasNoRoute: error.hasNoRoute }
  }
}

function judge(answer: DnsAnswer, zone: string, { name }: DnsQuestion): Verdict {
  if (answer.code !== 'NOERROR' && answer.code !== 'NXDOMAIN') {
    return { kind: 'lame', reason: `answers ${answer.code}` }
  }
  const below = ownersOf(answer.authorities, 'NS').find(
    (owner) => owner !== zone && isWithin(owner, zone) && isWithin(name, owner),
  )
  const isEmpty = answer.answers.length === 0 && ownersOf(answer.authorities, 'SOA').length === 0
  if (answer.code === 'NOERROR' && isEmpty && below !== undefined) return { kind: 'referral', answer, zone: below }
  if (answer.isAuthoritative) return { kind: 'authoritative', answer }
  return { kind: 'lame', reason: `is not authoritative for \`${zone}\`` }
}

/** How many servers are asked at the same time until one answers. */
const AT_ONCE = 3
/** How many addresses are tried for one question. */
const MAXIMUM_TRIED = 12

/**
 * Asks servers of a zone, three at a time, until one gives an answer of its own or leads further down. Throws
 * `SOAKP_DNS_UNREACHABLE` when none answers, `SOAKP_DNS_LAME` when those that answer do not answer for the zone.
 */
export async function consultAny(
  ask: AskAddress,
  zone: KnownZone,
  question: DnsQuestion,
  signal: AbortSignal,
): Promise<Exclude<Verdict, { kind: 'lame' | 'silent' }>> {
  const said: string[] = []
  let hasAnswered = false
  for (let first = 0; first < Math.min(zone.servers.length, MAXIMUM_TRIED); first += AT_ONCE) {
    const rest = new AbortController()
    const any = AbortSignal.any([signal, rest.signal])
    const tries = zone.servers.slice(first, first + AT_ONCE).map(async (server) => {
      const verdict = await consult(ask, zone.name, server, question, any)
      if (verdict.kind === 'authoritative' || verdict.kind === 'referral') return verdict
      hasAnswered ||= verdict.kind === 'lame'
      said.push(`${server.name} (${server.address}) ${verdict.reason}`)
      throw new Error(verdict.reason)
    })
    try {
      return await Promise.any(tries)
    } catch {
      signal.throwIfAborted()
    } finally {
      rest.abort()
    }
  }
  const list = said.length === 0 ? 'none has an address' : said.join('; ')
  throw hasAnswered
    ? new SoakpError(502, 'SOAKP_DNS_LAME', `No server of \`${zone.name}\` answers for it: ${list}.`)
    : new SoakpError(502, 'SOAKP_DNS_UNREACHABLE', `No server of \`${zone.name}\` can be reached: ${list}.`)
}
