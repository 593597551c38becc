import { DnsMessageError } from './message-error.ts'
import { decodeName } from './names.ts'

/** Types and classes that are used here (RFC 1035, RFC 2136, RFC 8945). */
export const TYPE = { NS: 2, CNAME: 5, SOA: 6, TXT: 16, TSIG: 250 } as const
export const CLASS = { IN: 1, NONE: 254, ANY: 255 } as const

/** A resource record as it stands in a message. */
export interface WireRecord {
  /** As `decodeName` has it. */
  readonly name: string
  readonly type: number
  readonly class: number
  readonly ttlSeconds: number
  readonly data: Buffer
  /** Where the record begins in the message, and where its data does. */
  readonly start: number
  readonly dataStart: number
}

/** A DNS message, read. */
export interface WireMessage {
  readonly bytes: Buffer
  readonly id: number
  readonly isResponse: boolean
  readonly opcode: number
  readonly isAuthoritative: boolean
  readonly isTruncated: boolean
  readonly rcode: number
  readonly answers: readonly WireRecord[]
  readonly authorities: readonly WireRecord[]
  readonly additionals: readonly WireRecord[]
}

const HEADER_BYTES = 12

/** Reads a message. Throws `DnsMessageError` for one that ends early, goes on after its last record or has a broken name. */
export function readMessage(bytes: Buffer): WireMessage {
  if (bytes.length < HEADER_BYTES) throw new DnsMessageError('The message is shorter than its header.')
  const flags = bytes.readUInt16BE(2)
  let position = HEADER_BYTES
  for (let left = bytes.readUInt16BE(4); left > 0; left -= 1) {
    position = decodeName(bytes, position).end + 4
    if (position > bytes.length) throw new DnsMessageError('The message ends in the middle of a question.')
  }
  const section = (count: number): readonly WireRecord[] => {
    const records: WireRecord[] = []
    for (let left = count; left > 0; left -= 1) {
      const record = readRecord(bytes, position)
      records.push(record)
      position = record.dataStart + record.data.length
    }
    return records
  }
  const answers = section(bytes.readUInt16BE(6))
  const authorities = section(bytes.readUInt16BE(8))
  const additionals = section(bytes.readUInt16BE(10))
  if (position !== bytes.length) throw new DnsMessageError('The message goes on after its last record.')
  return {
    bytes,
    id: bytes.readUInt16BE(0),
    isResponse: (flags & 0x8000) !== 0,
    opcode: (flags >> 11) & 15,
    isAuthoritative: (flags & 0x0400) !== 0,
    isTruncated: (flags & 0x0200) !== 0,
    rcode: flags & 15,
    answers,
    authorities,
    additionals,
  }
}

/** Reads the value of TXT data: its strings joined. Throws `DnsMessageError`. */
export function readText(data: Buffer): string {
  const strings: Buffer[] = []
  for (let position = 0; position < data.length;) {
    const end = position + 1 + (data[position] ?? 0)
    if (end > data.length) throw new DnsMessageError('A TXT record of the message ends in the middle of a string.')
    strings.push(data.subarray(position + 1, end))
    position = end
  }
  return Buffer.concat(strings).toString()
}

function readRecord(bytes: Buffer, start: number): WireRecord {
  const { name, end } = decodeName(bytes, start)
  const dataStart = end + 10
  if (dataStart > bytes.length) throw new DnsMessageError('The message ends in the middle of a record.')
  const dataEnd = dataStart + bytes.readUInt16BE(end + 8)
  if (dataEnd > bytes.length) throw new DnsMessageError('The message ends in the middle of a record.')
  return {
    name,
    type: bytes.readUInt16BE(end),
    class: bytes.readUInt16BE(end + 2),
    ttlSeconds: bytes.readUInt32BE(end + 4),
    data: bytes.subarray(dataStart, dataEnd),
    start,
    dataStart,
  }
}
