import { encodeUint16s } from './integers.ts'
import { CLASS, TYPE } from './message.ts'
import { encodeName } from './names.ts'

/** One change of an update: a TXT value that is added, or removed while all others stay. */
export interface TextChange {
  readonly action: 'add' | 'remove'
  readonly name: string
  readonly value: string
  /** Of an added value. */
  readonly ttlSeconds: number
}

const UPDATE_FLAGS = 5 << 11
const LONGEST_STRING_BYTES = 255

/** Encodes an update of a zone (RFC 2136 section 2). What is there already, or gone already, is no error to a server. */
export function encodeUpdate(id: number, zone: string, changes: readonly TextChange[]): Buffer {
  const section = Buffer.concat([encodeName(zone), encodeUint16s(TYPE.SOA, CLASS.IN)])
  return Buffer.concat([
    encodeUint16s(id, UPDATE_FLAGS, 1, 0, changes.length, 0),
    section,
    ...changes.map(encodeChange),
  ])
}

/** Encodes a question for one server's own knowledge: recursion is not desired. */
export function encodeQuestion(id: number, name: string, type: number): Buffer {
  return Buffer.concat([encodeUint16s(id, 0, 1, 0, 0, 0), encodeName(name), encodeUint16s(type, CLASS.IN)])
}

/** Encodes the data of a TXT record, in strings of at most 255 bytes. */
function encodeText(value: string): Buffer {
  const bytes = Buffer.from(value)
  const count = Math.max(1, Math.ceil(bytes.length / LONGEST_STRING_BYTES))
  const strings = Array.from({ length: count }, (_, index) => {
    const string = bytes.subarray(index * LONGEST_STRING_BYTES, (index + 1) * LONGEST_STRING_BYTES)
    return Buffer.concat([Buffer.of(string.length), string])
  })
  return Buffer.concat(strings)
}

/** Adding has the zone's class; removing one value has class NONE and TTL 0 (RFC 2136 sections 2.5.1 and 2.5.4). */
function encodeChange({ action, name, value, ttlSeconds }: TextChange): Buffer {
  const data = encodeText(value)
  const ttl = Buffer.alloc(4)
  if (action === 'add') ttl.writeUInt32BE(ttlSeconds)
  const recordClass = action === 'add' ? CLASS.IN : CLASS.NONE
  return Buffer.concat([encodeName(name), encodeUint16s(TYPE.TXT, recordClass), ttl, encodeUint16s(data.length), data])
}
