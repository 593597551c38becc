import type { Migration } from 'kysely/migration'
import * as first from './001-keys-and-tokens.ts'
import * as second from './002-token-rotation.ts'

/** Every migration by name, in order. A migration that has been released is never edited. */
export const migrations: Record<string, Migration> = {
  '001-keys-and-tokens': first,
  '002-token-rotation': second,
}
