import { DnsMessageError } from './message-error.ts'

const LONGEST_LABEL_BYTES = 63
const LONGEST_NAME_BYTES = 255
/** One text character, an escaped one, or a byte as `\DDD`. */
const CHARACTER = /\\(\d{3})|\\([^\d])|([^\\])/gsuy

/**
 * Encodes a name without compression (RFC 1035 section 3.1), absolute with or without its last dot. Throws
 * `DnsMessageError` for a label over 63 bytes, a name over 255, an empty label or a broken escape.
 */
export function encodeName(name: string): Buffer {
  const labels = splitLabels(name)
  const parts = labels.map((label) => {
    if (label.length === 0) throw new DnsMessageError(`"${name}" is no DNS name: it has an empty label.`)
    if (label.length > LONGEST_LABEL_BYTES) {
      throw new DnsMessageError(`"${name}" is no DNS name: a label is longer than ${LONGEST_LABEL_BYTES} bytes.`)
    }
    return Buffer.concat([Buffer.of(label.length), label])
  })
  const encoded = Buffer.concat([...parts, Buffer.of(0)])
  if (encoded.length <= LONGEST_NAME_BYTES) return encoded
  throw new DnsMessageError(`"${name.slice(0, 60)}…" is no DNS name: it is longer than ${LONGEST_NAME_BYTES} bytes.`)
}

/** A name as it was read from a message. */
export interface DecodedName {
  /** Without the last dot, bytes other than printable ASCII as `\DDD`; empty for the root. */
  readonly name: string
  /** Where reading goes on. */
  readonly end: number
}

/**
 * Reads a name, compressed or not. Pointers must point further back each time, so that it ends whatever is sent. Throws
 * `DnsMessageError`.
 */
export function decodeName(message: Buffer, offset: number): DecodedName {
  const labels: string[] = []
  let position = offset
  let floor = offset
  let end: number | undefined
  let bytes = 1
  for (;;) {
    const length = message[position]
    if (length === undefined) throw new DnsMessageError('The message ends in the middle of a name.')
    if (length === 0) return { name: labels.join('.'), end: end ?? position + 1 }
    if (length >= 0xc0) {
      const low = message[position + 1]
      if (low === undefined) throw new DnsMessageError('The message ends in the middle of a name.')
      end ??= position + 2
      position = ((length & 0x3f) << 8) | low
      if (position >= floor) throw new DnsMessageError('A compressed name of the message does not point back.')
      floor = position
      continue
    }
    if (length > LONGEST_LABEL_BYTES) throw new DnsMessageError('A name of the message has a label of unknown kind.')
    const label = message.subarray(position + 1, position + 1 + length)
    bytes += label.length + 1
    if (label.length < length) throw new DnsMessageError('The message ends in the middle of a name.')
    if (bytes > LONGEST_NAME_BYTES) throw new DnsMessageError('A name of the message is too long.')
    labels.push(escapeLabel(label))
    position += length + 1
  }
}

/** The form in which names are compared and signed: ASCII lower case, without the last dot. */
export function canonicalName(name: string): string {
  return withoutLastDot(name.replaceAll(/[A-Z]/g, (letter) => letter.toLowerCase()))
}

function splitLabels(name: string): readonly Buffer[] {
  const text = withoutLastDot(name)
  if (text === '') return []
  const labels: number[][] = [[]]
  for (const { 1: code, 2: escaped, 3: plain } of matchWhole(text)) {
    if (plain === '.') labels.push([])
    else labels.at(-1)?.push(...(code === undefined ? Buffer.from(escaped ?? plain ?? '') : [byteOf(code, name)]))
  }
  return labels.map((label) => Buffer.from(label))
}

/** A dot after an odd number of backslashes is part of the last label. */
function withoutLastDot(name: string): string {
  return /(?<!\\)(?:\\\\)*\.$/.test(name) ? name.slice(0, -1) : name
}

function matchWhole(text: string): readonly RegExpExecArray[] {
  const matches = [...text.matchAll(CHARACTER)]
  const matched = matches.reduce((total, [match]) => total + match.length, 0)
  if (matched !== text.length) throw new DnsMessageError(`"${text}" is no DNS name: it has a broken escape.`)
  return matches
}

function byteOf(code: string, name: string): number {
  if (Number(code) > 255) throw new DnsMessageError(`"${name}" is no DNS name: \\${code} is no byte.`)
  return Number(code)
}

function escapeLabel(label: Buffer): string {
  return Array.from(label, (byte) => {
    if (byte < 0x21 || byte > 0x7e) return `\\${String(byte).padStart(3, '0')}`
    const character = String.fromCharCode(byte)
    return character === '.' || character === '\\' ? `\\${character}` : character
  }).join('')
}
