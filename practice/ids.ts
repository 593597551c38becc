import { randomUUID } from 'node:crypto'

/** Makes random lower-case hexadecimal digits, at most 32. */
export function randomHex(length: number): string {
  return randomUUID().replaceAll('-', '').slice(0, length)
}

/** Makes an id as OpenAI writes them: a prefix such as `chatcmpl-` and 32 random hexadecimal digits. */
export function randomId(prefix: string): string {
  return prefix + randomHex(32)
}

/** Tells the time as OpenAI does, in whole seconds since 1970. */
export function unixTime(): number {
  return Math.floor(Date.now() / 1000)
}
