import type { Clock } from '../clock.ts'
import { DnsMessageError } from './message-error.ts'
import { readMessage } from './message.ts'
import type { WireMessage } from './message.ts'
import type { ServerAddress } from './server-address.ts'
import { exchangeOverTcp } from './tcp-exchange.ts'
import { TSIG_ERROR, signRequest, verifyResponse } from './tsig.ts'
import type { TsigKey, TsigVerdict } from './tsig.ts'

/** The response of a name server, with what its signature says: undefined where no key is used. */
export interface SignedAnswer {
  readonly message: WireMessage
  readonly verdict: TsigVerdict | undefined
}

/** Sends a message and gives the response to it. */
export type SignedExchange = (message: Buffer, signal: AbortSignal) => Promise<SignedAnswer>

/** How a server is spoken to. */
export interface SignedExchangeOptions {
  readonly server: ServerAddress
  readonly key: TsigKey | undefined
  readonly clock: Clock
  /** For one message and its response. */
  readonly timeoutMs: number
}

/**
 * Creates an exchange with one server over TCP, signed where there is a key. When the server says, signed, that our clock
 * is off (BADTIME, RFC 8945 section 5.2.3), its time is used from then on and the message is sent once more.
 */
export function createSignedExchange({ server, key, clock, timeoutMs }: SignedExchangeOptions): SignedExchange {
  let offsetSeconds = 0
  const now = () => Math.floor(clock.now() / 1000) + offsetSeconds

  async function send(message: Buffer, signal: AbortSignal): Promise<WireMessage> {
    const limited = AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)])
    const response = readMessage(await exchangeOverTcp(server, message, limited))
    const isAnswer = response.isResponse && response.id === message.readUInt16BE(0)
    if (isAnswer && response.opcode === (((message[2] ?? 0) >> 3) & 15)) return response
    throw new DnsMessageError('The name server answered something that it was not asked.')
  }

  async function sendSigned(
    message: Buffer,
    by: TsigKey,
    signal: AbortSignal,
  ): Promise<SignedAnswer & { readonly verdict: TsigVerdict }> {
    const request = signRequest(message, by, now())
    const response = await send(request.bytes, signal)
    return { message: response, verdict: verifyResponse(response, request, by, now()) }
  }

  return async function exchange(message, signal) {
    if (key === undefined) return { message: await send(message, signal), verdict: undefined }
    const answer = await sendSigned(message, key, signal)
    const { error, serverSeconds } = answer.verdict
    if (error !== TSIG_ERROR.BADTIME || serverSeconds === undefined) return answer
    offsetSeconds += serverSeconds - now()
    return sendSigned(message, key, signal)
  }
}
