import { createHash, createHmac } from 'node:crypto'
import type { Secret } from '../secret.ts'

/** Who signs, and for what. */
export interface SigningKey {
  readonly accessKeyId: Secret
  readonly secretAccessKey: Secret
  readonly sessionToken: Secret | undefined
  readonly region: string
  readonly service: string
}

/** What is signed. The path and the query must be encoded already, as `URL` has them. */
export interface SignedCall {
  readonly method: string
  readonly url: URL
  readonly body: string
  /** Further headers that are signed, lower case. */
  readonly headers?: Readonly<Record<string, string>>
}

/**
 * Returns the headers of AWS Signature Version 4 for a call at a time in Unix milliseconds. The path is encoded once
 * more, as every service but S3 wants it.
 */
export function signV4(call: SignedCall, key: SigningKey, now: number): Record<string, string> {
  const time = new Date(now).toISOString().replaceAll(/[-:]|\.\d{3}/g, '')
  const scope = `${time.slice(0, 8)}/${key.region}/${key.service}/aws4_request`
  const token = key.sessionToken?.reveal()
  const added = { 'x-amz-date': time, ...(token !== undefined && { 'x-amz-security-token': token }) }
  const headers = Object.entries<string>({ ...call.headers, ...added, host: call.url.host }).toSorted(byFirst)
  const names = headers.map(([name]) => name).join(';')
  const canonical = [
    call.method,
    call.url.pathname.split('/').map(encode).join('/'),
    canonicalQuery(call.url),
    ...headers.map(([name, value]) => `${name}:${value.trim().replaceAll(/ +/g, ' ')}`),
    '',
    names,
    sha256(call.body),
  ].join('\n')
  const toSign = ['AWS4-HMAC-SHA256', time, scope, sha256(canonical)].join('\n')
  let signature: Buffer = Buffer.from(`AWS4${key.secretAccessKey.reveal()}`)
  for (const part of [...scope.split('/'), toSign]) signature = hmac(signature, part)
  const credential = `Credential=${key.accessKeyId.reveal()}/${scope}`
  const signed = `SignedHeaders=${names}, Signature=${signature.toString('hex')}`
  return { ...added, authorization: `AWS4-HMAC-SHA256 ${credential}, ${signed}` }
}

function canonicalQuery(url: URL): string {
  const pairs = [...url.searchParams].map(([name, value]): [string, string] => [encode(name), encode(value)])
  return pairs
    .toSorted((left, right) => byFirst(left, right) || compare(left[1], right[1]))
    .map((pair) => pair.join('='))
    .join('&')
}

function encode(text: string): string {
  return encodeURIComponent(text).replaceAll(/[!'()*]/g, (character) => `%${hexOf(character)}`)
}

const hexOf = (character: string) => character.charCodeAt(0).toString(16).toUpperCase()
const compare = (left: string, right: string) => (left < right ? -1 : left > right ? 1 : 0)
const byFirst = ([left]: readonly [string, string], [right]: readonly [string, string]) => compare(left, right)
const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
const hmac = (key: Buffer, text: string) => createHmac('sha256', key).update(text).digest()
