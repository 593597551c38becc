import { DnsProviderError } from '../dns-errors.ts'
import type { DnsFaultKind } from '../dns-errors.ts'
import { DnsMessageError } from './message-error.ts'
import { formatServerAddress } from './server-address.ts'
import type { ServerAddress } from './server-address.ts'
import { TSIG_ERROR } from './tsig.ts'
import type { TsigKey, TsigVerdict } from './tsig.ts'

/** Response codes (RFC 1035 section 4.1.1, RFC 2136 section 2.2). */
export const RCODE = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
  NOTAUTH: 9,
  NOTZONE: 10,
} as const

/** What was tried when a name server refused. */
export interface Attempt {
  readonly server: ServerAddress
  readonly key: TsigKey | undefined
  /** What was asked for or written. */
  readonly name: string
  /** The zone of an update; undefined for a question. */
  readonly zone?: string | undefined
}

/** Says what to do about a refusal: the server's RCODE and the error of its signature, if any. `now` is Unix milliseconds. */
export function describeRefusal(
  attempt: Attempt,
  rcode: number,
  verdict: TsigVerdict | undefined,
  now: number,
): DnsProviderError {
  const [kind, message] = signatureFault(attempt, verdict, now) ?? codeFault(attempt, rcode)
  return new DnsProviderError('rfc2136', kind, message)
}

/** Says what to do when no response came, or none that may be believed. Passes on what is a `DnsProviderError` already. */
export function describeSilence(server: ServerAddress, timeoutMs: number, error: unknown): DnsProviderError {
  if (error instanceof DnsProviderError) return error
  const host = formatServerAddress(server)
  const advice = 'Check RFC2136_NAMESERVER, and that its TCP port is open from here.'
  const reason = () => {
    if (error instanceof DnsMessageError)
      return `The answer of the name server ${host} cannot be used: ${error.message}`
    if (isTimeout(error)) return `The name server ${host} did not answer within ${timeoutMs / 1000} seconds. ${advice}`
    return `The name server ${host} cannot be reached${codeOf(error)}. ${advice}`
  }
  return new DnsProviderError('rfc2136', 'unreachable', reason(), { cause: error })
}

type Fault = readonly [kind: DnsFaultKind, message: string]

function signatureFault(
  { server, key, name, zone }: Attempt,
  verdict: TsigVerdict | undefined,
  now: number,
): Fault | undefined {
  const host = formatServerAddress(server)
  switch (verdict?.error) {
    case TSIG_ERROR.BADSIG:
      return [
        'credentials',
        `The name server ${host} knows the key ${key?.name}, but its secret is another one (BADSIG). Compare RFC2136_TSIG_SECRET with the server's.`,
      ]
    case TSIG_ERROR.BADKEY: {
      const compare = "Compare RFC2136_TSIG_KEY and RFC2136_TSIG_ALGORITHM with the server's."
      const advice = zone === undefined ? compare : `${compare} ${policy(key, name, zone)}`
      return [
        'credentials',
        `The name server ${host} has no key ${key?.name} for ${key?.algorithm}, or does not take it here (BADKEY). ${advice}`,
      ]
    }
    case TSIG_ERROR.BADTIME:
      return [
        'credentials',
        `The clocks are too far apart (BADTIME): here it is ${time(now)}, at the name server ${host} ${time(verdict.serverSeconds === undefined ? undefined : verdict.serverSeconds * 1000)}. Set both by NTP.`,
      ]
    case TSIG_ERROR.BADTRUNC:
      return [
        'credentials',
        `The name server ${host} wants a longer signature than ${key?.algorithm} gives (BADTRUNC). Use a key for a longer hash, such as hmac-sha512.`,
      ]
    default:
      return undefined
  }
}

function codeFault({ server, key, name, zone }: Attempt, rcode: number): Fault {
  const host = formatServerAddress(server)
  switch (rcode) {
    case RCODE.FORMERR:
      return [
        'refused',
        `The name server ${host} did not understand the message (FORMERR). Is it one that takes dynamic updates (RFC 2136)?`,
      ]
    case RCODE.SERVFAIL:
      return [
        'unreachable',
        `The name server ${host} failed (SERVFAIL). Its log says why; often it cannot write its zone file or journal.`,
      ]
    case RCODE.NOTIMP:
      return [
        'refused',
        `The name server ${host} takes no dynamic updates (NOTIMP). Set RFC2136_NAMESERVER to the primary server of the zone.`,
      ]
    case RCODE.REFUSED:
      return zone === undefined
        ? [
            'credentials',
            `The name server ${host} refuses questions about ${name} (REFUSED). Allow them for ${who(key)}, or set RFC2136_NAMESERVER to the primary server of the zone.`,
          ]
        : ['credentials', `The name server ${host} refuses the update of ${name} (REFUSED). ${policy(key, name, zone)}`]
    case RCODE.NOTAUTH:
      return key === undefined
        ? [
            'zone',
            `The name server ${host} is not the primary server of ${zone ?? name}, or takes nothing without a key (NOTAUTH). Set RFC2136_NAMESERVER to the one that is, or RFC2136_TSIG_KEY and RFC2136_TSIG_SECRET.`,
          ]
        : [
            'credentials',
            `The name server ${host} is not the primary server of ${zone ?? name}, or does not take the key ${key.name} (NOTAUTH). Check RFC2136_NAMESERVER, the key's name, algorithm and secret, and that the zone allows it.`,
          ]
    case RCODE.NOTZONE:
      return [
        'zone',
        `The name server ${host} says that ${name} is not in the zone ${zone ?? ''} (NOTZONE). Correct RFC2136_ZONES.`,
      ]
    default:
      return [
        'refused',
        `The name server ${host} refused ${zone === undefined ? 'the question about' : 'the update of'} ${name} with code ${rcode}.`,
      ]
  }
}

function policy(key: TsigKey | undefined, name: string, zone: string): string {
  if (key === undefined) {
    return 'It was sent without a key: set RFC2136_TSIG_KEY and RFC2136_TSIG_SECRET, or allow the address of this machine.'
  }
  const bind = `update-policy { grant ${key.name} name ${name}. TXT; };`
  const knot = `acl: {key: ${key.name}, action: update, update-type: TXT}`
  return `Allow the key ${key.name} in the zone ${zone}, in BIND with "${bind}", in Knot with "${knot}".`
}

function who(key: TsigKey | undefined): string {
  return key === undefined ? 'the address of this machine' : `the key ${key.name}`
}

function time(milliseconds: number | undefined): string {
  if (milliseconds === undefined || Math.abs(milliseconds) > 8.64e15) return 'another time'
  return new Date(milliseconds).toISOString()
}

function isTimeout(error: unknown): boolean {
  return error instanceof Error && error.name === 'TimeoutError'
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? ` (${error.code})` : ''
}
