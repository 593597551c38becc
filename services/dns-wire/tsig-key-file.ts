import { SoakpError } from '../errors.ts'

/** A key as it stands in a file: nothing of it is checked but the form. */
export interface KeyFile {
  readonly name: string
  readonly algorithm: string | undefined
  readonly secret: string
}

/** A comment, a quoted string, a word, or a mark. */
const TOKEN = /\s+|#[^\n]*|\/\/[^\n]*|\/\*[\s\S]*?\*\/|"([^"\n]*)"|([^\s"{};#]+)|([{};])/y

/**
 * Reads a file as `tsig-keygen` writes it: `key "name" { algorithm hmac-sha256; secret "…"; };`. Throws
 * `SOAKP_TSIG_KEY_FILE` when it holds no key, or several.
 */
export function readKeyFile(text: string): KeyFile {
  const tokens = tokensOf(text)
  const keys: KeyFile[] = []
  for (let position = 0; position < tokens.length; position += 1) {
    const [keyword, name, open] = tokens.slice(position, position + 3)
    if (keyword !== 'key' || name === undefined || open !== '{') throw invalid('is not a key file of tsig-keygen')
    const end = tokens.indexOf('}', position)
    if (end === -1) throw invalid('ends in the middle of a key')
    keys.push(readKey(name, tokens.slice(position + 3, end)))
    position = tokens[end + 1] === ';' ? end + 1 : end
  }
  const [key, ...others] = keys
  if (key === undefined) throw invalid('holds no key')
  if (others.length > 0) throw invalid('holds several keys; keep the one that SOAKP shall use')
  return key
}

function readKey(name: string, tokens: readonly string[]): KeyFile {
  const after = (word: string) => {
    const position = tokens.indexOf(word)
    return position === -1 ? undefined : tokens[position + 1]
  }
  const secret = after('secret')
  if (secret === undefined || secret === ';') throw invalid('holds a key without a secret')
  return { name, algorithm: after('algorithm'), secret }
}

function tokensOf(text: string): readonly string[] {
  const tokens: string[] = []
  TOKEN.lastIndex = 0
  while (TOKEN.lastIndex < text.length) {
    const match = TOKEN.exec(text)
    if (match === null) throw invalid('is not a key file of tsig-keygen')
    const token = match[1] ?? match[2] ?? match[3]
    if (token !== undefined) tokens.push(token)
  }
  return tokens
}

function invalid(what: string): SoakpError {
  const hint = 'Write one with: tsig-keygen -a hmac-sha256 soakp-key'
  return new SoakpError(400, 'SOAKP_TSIG_KEY_FILE', `The TSIG key file ${what}. ${hint}`)
}
