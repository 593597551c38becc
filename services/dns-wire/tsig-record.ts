import { encodeUint16s } from './integers.ts'
import { DnsMessageError } from './message-error.ts'
import { CLASS, TYPE } from './message.ts'
import type { WireMessage } from './message.ts'
import { canonicalName, decodeName, encodeName } from './names.ts'

/** What of a TSIG record is signed besides the message (RFC 8945 section 4.3.3). */
export interface TsigVariables {
  readonly name: string
  readonly algorithm: string
  /** Unix time, 48 bits. */
  readonly seconds: number
  readonly fudgeSeconds: number
  readonly error: number
  readonly other: Buffer
}

/** A TSIG record (RFC 8945 section 4.2). */
export interface TsigRecord extends TsigVariables {
  readonly mac: Buffer
  readonly originalId: number
}

/** Encodes what is signed, names in lower case. */
export function encodeTsigVariables(variables: TsigVariables): Buffer {
  const { name, algorithm, error, other } = variables
  return Buffer.concat([
    encodeName(canonicalName(name)),
    encodeUint16s(CLASS.ANY, 0, 0),
    encodeName(canonicalName(algorithm)),
    encodeTimes(variables),
    encodeUint16s(error, other.length),
    other,
  ])
}

/** Encodes the record as it ends a message. */
export function encodeTsigRecord(record: TsigRecord): Buffer {
  const { name, algorithm, mac, originalId, error, other } = record
  const data = Buffer.concat([
    encodeName(canonicalName(algorithm)),
    encodeTimes(record),
    encodeUint16s(mac.length),
    mac,
    encodeUint16s(originalId, error, other.length),
    other,
  ])
  return Buffer.concat([encodeName(canonicalName(name)), encodeUint16s(TYPE.TSIG, CLASS.ANY, 0, 0, data.length), data])
}

/**
 * Reads the TSIG record of a message and where it starts; undefined if there is none. Throws `DnsMessageError` when it is
 * broken, not the last record, or not the only one.
 */
export function readTsigRecord(message: WireMessage): (TsigRecord & { readonly start: number }) | undefined {
  const { answers, authorities, additionals, bytes } = message
  const record = [...answers, ...authorities, ...additionals].find(({ type }) => type === TYPE.TSIG)
  if (record === undefined) return undefined
  if (record !== additionals.at(-1)) throw new DnsMessageError('The signature is out of place.')
  if (record.class !== CLASS.ANY || record.ttlSeconds !== 0) throw broken()
  const { name: algorithm, end } = decodeName(bytes, record.dataStart)
  const dataEnd = record.dataStart + record.data.length
  const macStart = end + 10
  if (macStart > dataEnd) throw broken()
  const macEnd = macStart + bytes.readUInt16BE(end + 8)
  if (macEnd + 6 > dataEnd) throw broken()
  const other = bytes.subarray(macEnd + 6, dataEnd)
  if (other.length !== bytes.readUInt16BE(macEnd + 4)) throw broken()
  return {
    name: record.name,
    algorithm,
    seconds: bytes.readUIntBE(end, 6),
    fudgeSeconds: bytes.readUInt16BE(end + 6),
    mac: bytes.subarray(macStart, macEnd),
    originalId: bytes.readUInt16BE(macEnd),
    error: bytes.readUInt16BE(macEnd + 2),
    other,
    start: record.start,
  }
}

function broken(): DnsMessageError {
  return new DnsMessageError('The signature of the message is no TSIG record.')
}

function encodeTimes({ seconds, fudgeSeconds }: TsigVariables): Buffer {
  const buffer = Buffer.alloc(8)
  buffer.writeUIntBE(seconds, 0, 6)
  buffer.writeUInt16BE(fudgeSeconds, 6)
  return buffer
}
