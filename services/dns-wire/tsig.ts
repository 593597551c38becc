import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Secret } from '../secret.ts'
import { encodeUint16s } from './integers.ts'
import { DnsMessageError } from './message-error.ts'
import type { WireMessage } from './message.ts'
import { canonicalName } from './names.ts'
import { hashOf } from './tsig-algorithm.ts'
import type { TsigAlgorithm } from './tsig-algorithm.ts'
import { encodeTsigRecord, encodeTsigVariables, readTsigRecord } from './tsig-record.ts'

/** A key that is shared with a name server. */
export interface TsigKey {
  readonly name: string
  readonly algorithm: TsigAlgorithm
  /** Base64. */
  readonly secret: Secret
}

/** A signed request, with what is needed to verify its response. */
export interface SignedRequest {
  readonly bytes: Buffer
  readonly mac: Buffer
}

/** Error codes of a TSIG record (RFC 8945 section 3). */
export const TSIG_ERROR = { BADSIG: 16, BADKEY: 17, BADTIME: 18, BADTRUNC: 22 } as const

/** What a response's signature says. */
export interface TsigVerdict {
  /** False only for a refusal: it may be anybody's, so that nothing but a failure may be taken from it. */
  readonly isVerified: boolean
  /** Of the TSIG record; 0 where there is none. */
  readonly error: number
  /** The server's time in a verified BADTIME, Unix seconds. */
  readonly serverSeconds: number | undefined
}

/** How far the clocks may be apart, as RFC 8945 section 10 recommends. */
const FUDGE_SECONDS = 300

/** Signs a request (RFC 8945 section 5.1). `seconds` is Unix time. */
export function signRequest(message: Buffer, key: TsigKey, seconds: number): SignedRequest {
  const { name, algorithm } = key
  const variables = { name, algorithm, seconds, fudgeSeconds: FUDGE_SECONDS, error: 0, other: Buffer.alloc(0) }
  const mac = hmac(key, [message, encodeTsigVariables(variables)])
  const record = encodeTsigRecord({ ...variables, mac, originalId: message.readUInt16BE(0) })
  const bytes = Buffer.concat([message, record])
  bytes.writeUInt16BE(message.readUInt16BE(10) + 1, 10)
  return { bytes, mac }
}

/**
 * Verifies the response to a signed request (RFC 8945 section 5.3): the key, then the MAC, which takes in the request's,
 * then the time. Only refusals may be unsigned, as RFC 8945 section 5.3.2 has BADKEY and BADSIG and PowerDNS all. Throws
 * `DnsMessageError` for all else.
 */
export function verifyResponse(
  response: WireMessage,
  request: SignedRequest,
  key: TsigKey,
  seconds: number,
): TsigVerdict {
  const tsig = readTsigRecord(response)
  if (tsig === undefined || tsig.mac.length === 0) {
    if (response.rcode !== 0) return { isVerified: false, error: tsig?.error ?? 0, serverSeconds: undefined }
    throw new DnsMessageError('The name server answered a signed request without a signature.')
  }
  if (canonicalName(tsig.name) !== canonicalName(key.name) || canonicalName(tsig.algorithm) !== key.algorithm) {
    throw new DnsMessageError('The name server signed its answer with another key.')
  }
  const unsigned = Buffer.from(response.bytes.subarray(0, tsig.start))
  unsigned.writeUInt16BE(tsig.originalId, 0)
  unsigned.writeUInt16BE(response.additionals.length - 1, 10)
  const expected = hmac(key, [encodeUint16s(request.mac.length), request.mac, unsigned, encodeTsigVariables(tsig)])
  // A MAC that was cut (RFC 8945 section 5.2.2.1) is not taken either: nobody was asked for one.
  if (tsig.mac.length !== expected.length || !timingSafeEqual(tsig.mac, expected)) {
    throw new DnsMessageError("The signature of the name server's answer is wrong.")
  }
  if (tsig.error === TSIG_ERROR.BADTIME) {
    return { isVerified: true, error: tsig.error, serverSeconds: readTime(tsig.other) }
  }
  if (Math.abs(seconds - tsig.seconds) > Math.min(tsig.fudgeSeconds, FUDGE_SECONDS)) {
    throw new DnsMessageError("The signature of the name server's answer is of another time.")
  }
  return { isVerified: true, error: tsig.error, serverSeconds: undefined }
}

function readTime(other: Buffer): number | undefined {
  return other.length === 6 ? other.readUIntBE(0, 6) : undefined
}

function hmac(key: TsigKey, parts: readonly Buffer[]): Buffer {
  const hash = createHmac(hashOf(key.algorithm), Buffer.from(key.secret.reveal(), 'base64'))
  for (const part of parts) hash.update(part)
  return hash.digest()
}
