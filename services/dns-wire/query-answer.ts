import { decode } from 'dns-packet'
import type { Answer, DecodedPacket, RecordType } from 'dns-packet'
import { normaliseName } from './query-name.ts'

/** A server that is asked, by its address. */
export interface DnsServer {
  readonly address: string
  readonly port: number
}

/** What is asked: a lower-case name without the last dot and a record type. */
export interface DnsQuestion {
  readonly name: string
  readonly type: RecordType
}

/** An answer whose id and question are those that were sent. */
export interface DnsAnswer {
  /** `NOERROR`, `NXDOMAIN`, `REFUSED` ... */
  readonly code: string
  readonly isAuthoritative: boolean
  readonly isTruncated: boolean
  readonly answers: readonly Answer[]
  readonly authorities: readonly Answer[]
  readonly additionals: readonly Answer[]
}

const CODES = ['NOERROR', 'FORMERR', 'SERVFAIL', 'NXDOMAIN', 'NOTIMP', 'REFUSED', 'YXDOMAIN', 'YXRRSET', 'NXRRSET']

/**
 * Reads a message as the answer to a question. Undefined when it is not: another id or question, a query, or bytes that
 * cannot be read. Such a message is passed over, so that a forged one does not hide the real one.
 */
export function readAnswer(message: Buffer, id: number, question: DnsQuestion): DnsAnswer | undefined {
  let packet: DecodedPacket
  try {
    packet = decode(message)
  } catch {
    return undefined
  }
  if (!(decode.bytes <= message.length) || packet.id !== id || !packet.flag_qr) return undefined
  if ((((packet.flags ?? 0) >> 11) & 0xf) !== 0) return undefined
  const number = (packet.flags ?? 0) & 0xf
  const code = CODES[number] ?? `RCODE ${number}`
  if (!isQuestion(packet, question, code)) return undefined
  return {
    code,
    isAuthoritative: packet.flag_aa,
    isTruncated: packet.flag_tc,
    answers: packet.answers ?? [],
    authorities: packet.authorities ?? [],
    additionals: packet.additionals ?? [],
  }
}

function isQuestion({ questions = [] }: DecodedPacket, { name, type }: DnsQuestion, code: string): boolean {
  const [asked] = questions
  // A server that could not read a question need not repeat it (RFC 1035 section 4.1.1).
  if (asked === undefined) return code === 'FORMERR' || code === 'NOTIMP'
  return questions.length === 1 && normaliseName(asked.name) === name && asked.type === type && asked.class === 'IN'
}

/** Returns what the records of a type hold that is a name or an address; of one owner, where that is given. */
export function targetsOf(records: readonly Answer[], type: 'A' | 'AAAA' | 'NS' | 'CNAME', owner?: string): string[] {
  return recordsOf(records, type, owner).flatMap(({ data }) => (typeof data === 'string' ? [normaliseName(data)] : []))
}

/** Returns the values of a name's TXT records, their parts joined (RFC 7208 section 3.3). */
export function textsOf(records: readonly Answer[], owner: string): string[] {
  return recordsOf(records, 'TXT', owner).map(({ data }) =>
    [data]
      .flat()
      .reduce<string>((text, part) => text + (Buffer.isBuffer(part) ? part.toString('latin1') : String(part)), ''),
  )
}

/** Returns the owners of the records of a type, without doubles. */
export function ownersOf(records: readonly Answer[], type: RecordType): string[] {
  return [...new Set(recordsOf(records, type).map(({ name }) => normaliseName(name)))]
}

/** Returns the records of a type; of one owner, where that is given. */
export function recordsOf(
  records: readonly Answer[],
  type: RecordType,
  owner?: string,
): { name: string; data: unknown }[] {
  return records.flatMap((record) =>
    record.type === type && 'data' in record && (owner === undefined || normaliseName(record.name) === owner)
      ? [{ name: record.name, data: record.data }]
      : [],
  )
}
