import { randomBytes } from 'node:crypto'

/** Kinds of identifiers, as OpenAI writes them: `key_…`, `tok_…`, `req_…`. */
export type IdentifierKind = 'key' | 'tok' | 'req'

/** Makes an identifier of 128 random bits: its kind, an underscore and 22 base64url characters. */
export function newIdentifier(kind: IdentifierKind): string {
  return `${kind}_${randomBytes(16).toString('base64url')}`
}
