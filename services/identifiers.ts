import { randomBytes, randomUUID } from 'node:crypto'

/** Makes the identifier of a key or token: its kind, an underscore and 128 random bits in 22 base64url characters. */
export function newIdentifier(kind: 'key' | 'tok'): string {
  return `${kind}_${randomBytes(16).toString('base64url')}`
}

/** Makes a request id as OpenAI writes them. Node draws UUIDs from a pool: a twentieth of the time of `randomBytes`. */
export function newRequestId(): string {
  return `req_${randomUUID().replaceAll('-', '')}`
}
