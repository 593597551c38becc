/** How the three digits after a backslash are meant: RFC 1035 section 5.1 says decimal, Route 53 writes octal. */
export type EscapeDigits = 'decimal' | 'octal'

/** Octets that one character-string of a TXT record holds, RFC 1035 section 3.3. */
const CHUNK_OCTETS = 255

/**
 * Writes a value as master files do: in quotes, with escapes, cut into character-strings of at most 255 octets. With
 * `digits` everything outside printable ASCII is escaped; without, only the quote and the backslash are.
 */
export function quoteTxt(value: string, digits?: EscapeDigits): string {
  const chunks: string[] = []
  let chunk = ''
  let size = 0
  for (const character of value) {
    const octets = Buffer.from(character)
    if (size + octets.length > CHUNK_OCTETS) {
      chunks.push(chunk)
      chunk = ''
      size = 0
    }
    chunk += escape(character, octets, digits)
    size += octets.length
  }
  return [...chunks, chunk].map((each) => `"${each}"`).join(' ')
}

function escape(character: string, octets: Buffer, digits: EscapeDigits | undefined): string {
  if (character === '"' || character === '\\') return `\\${character}`
  if (digits === undefined || /^[ -~]$/.test(character)) return character
  const base = digits === 'octal' ? 8 : 10
  return Array.from(octets, (octet) => `\\${octet.toString(base).padStart(3, '0')}`).join('')
}

const STRINGS = /^\s*"(?:[^"\\]|\\[^])*"(?:\s*"(?:[^"\\]|\\[^])*")*\s*$/
const STRING = /"((?:[^"\\]|\\[^])*)"/g

/** Reads a value as APIs return it: un-quoted, its character-strings joined. What is not in quotes is taken as it is. */
export function readTxt(text: string, digits: EscapeDigits = 'decimal'): string {
  if (!STRINGS.test(text)) return text
  return unescapeOctets([...text.matchAll(STRING)].map(([, inner]) => inner ?? '').join(''), digits)
}

/** Reads a domain name with escapes, `\052.example.com.`, as it is compared: lower case, without the last dot. */
export function readName(text: string, digits: EscapeDigits = 'decimal'): string {
  return unescapeOctets(text, digits).replace(/\.$/, '').toLowerCase()
}

const ESCAPE = { decimal: /\\(?:([0-2]\d\d)|([^]))/g, octal: /\\(?:([0-3][0-7][0-7])|([^]))/g }

function unescapeOctets(text: string, digits: EscapeDigits): string {
  const parts: Buffer[] = []
  let from = 0
  for (const { 0: whole, 1: code, 2: literal = '', index } of text.matchAll(ESCAPE[digits])) {
    const octet = code === undefined ? undefined : Number.parseInt(code, digits === 'octal' ? 8 : 10)
    const isOctet = octet !== undefined && octet < 256
    parts.push(Buffer.from(text.slice(from, index)), isOctet ? Buffer.of(octet) : Buffer.from(code ?? literal))
    from = index + whole.length
  }
  return asText(Buffer.concat([...parts, Buffer.from(text.slice(from))]))
}

/** Octets that are no UTF-8 still need a text that no other octets have. */
function asText(octets: Buffer): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(octets)
  } catch {
    return octets.toString('latin1')
  }
}
