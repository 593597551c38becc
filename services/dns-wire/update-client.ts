import { randomInt } from 'node:crypto'
import type { Clock } from '../clock.ts'
import type { DnsProviderError } from '../dns-errors.ts'
import { DnsMessageError } from './message-error.ts'
import type { WireMessage } from './message.ts'
import { createSignedExchange } from './signed-exchange.ts'
import type { TsigVerdict } from './tsig.ts'
import { RCODE, describeRefusal, describeSilence } from './update-errors.ts'
import { encodeQuestion, encodeUpdate } from './update-message.ts'
import type { TextChange } from './update-message.ts'
import type { UpdateSettings } from './update-settings.ts'

/** Speaks to the primary server of zones. Everything throws `DnsProviderError`, and rejects at once when aborted. */
export interface UpdateClient {
  /** Asks for what the server itself knows: its answer that there are records, or that there are none. */
  ask(name: string, type: number, signal: AbortSignal): Promise<WireMessage>
  /** The same; undefined where the server refuses as it does for the zones of others. */
  askIfServed(name: string, type: number, signal: AbortSignal): Promise<WireMessage | undefined>
  /** Changes a zone; resolves when the server has done so. */
  update(zone: string, change: TextChange, signal: AbortSignal): Promise<void>
}

/** Creates a client that signs where the settings have a key, and believes only signed answers then. */
export function createUpdateClient(settings: UpdateSettings, clock: Clock): UpdateClient {
  const { server, key, timeoutMs } = settings
  const exchange = createSignedExchange({ server, key, clock, timeoutMs })

  // Without a key NOTAUTH can mean nothing but the zone of another server; with one it can mean the key.
  const foreignZoneCodes: readonly number[] = key === undefined ? [RCODE.REFUSED, RCODE.NOTAUTH] : [RCODE.REFUSED]

  async function send(message: Buffer, meant: readonly number[], signal: AbortSignal): Promise<Outcome> {
    try {
      const { message: response, verdict } = await exchange(message, signal)
      const isMeant = meant.includes(response.rcode)
      if (isMeant && verdict?.isVerified === false) {
        throw new DnsMessageError('The name server answered a signed request without a signature.')
      }
      const signatureError = verdict?.error ?? 0
      return { response, verdict, signatureError, isMeant: isMeant && signatureError === 0 }
    } catch (error) {
      signal.throwIfAborted()
      throw describeSilence(server, timeoutMs, error)
    }
  }

  async function question(name: string, type: number, signal: AbortSignal): Promise<Outcome> {
    return send(encodeQuestion(randomInt(0x1_0000), name, type), [RCODE.NOERROR, RCODE.NXDOMAIN], signal)
  }

  function refusal({ response, verdict }: Outcome, name: string, zone?: string): DnsProviderError {
    return describeRefusal({ server, key, name, zone }, response.rcode, verdict, clock.now())
  }

  return {
    async ask(name, type, signal) {
      const outcome = await question(name, type, signal)
      if (outcome.isMeant) return outcome.response
      throw refusal(outcome, name)
    },

    async askIfServed(name, type, signal) {
      const outcome = await question(name, type, signal)
      if (outcome.isMeant) return outcome.response
      if (outcome.signatureError === 0 && foreignZoneCodes.includes(outcome.response.rcode)) return undefined
      throw refusal(outcome, name)
    },

    async update(zone, change, signal) {
      const outcome = await send(encodeUpdate(randomInt(0x1_0000), zone, [change]), [RCODE.NOERROR], signal)
      if (!outcome.isMeant) throw refusal(outcome, change.name, zone)
    },
  }
}

interface Outcome {
  readonly response: WireMessage
  readonly verdict: TsigVerdict | undefined
  readonly signatureError: number
  /** It says what an answer to this says, and may be believed. */
  readonly isMeant: boolean
}
