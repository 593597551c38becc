import { randomInt } from 'node:crypto'
import { isIP } from 'node:net'
import { encode, RECURSION_DESIRED } from 'dns-packet'
import { SoakpError } from '../errors.ts'
import type { DnsAnswer, DnsQuestion, DnsServer } from './query-answer.ts'
import { readAnswer } from './query-answer.ts'
import { isAskable } from './query-name.ts'
import type { Exchange } from './query-socket.ts'
import { exchangeDatagram, exchangeStream, NoAnswer } from './query-socket.ts'

/** How a question is put. */
export interface AskOptions {
  /** Whether the server is to ask others for us (the RD flag). Never set for authoritative servers. */
  readonly isRecursive: boolean
  readonly signal: AbortSignal
  /** How long each try by UDP waits, and the last one by TCP; the default takes six seconds of silence. */
  readonly timeoutsMs?: readonly number[]
}

/** Puts a question to one server. What a server answers is given back, a refusal too; no answer throws `NoAnswer`. */
export type Ask = (server: DnsServer, question: DnsQuestion, options: AskOptions) => Promise<DnsAnswer>

const TIMEOUTS_MS = [1000, 2000, 3000]

/** The size that passes every path without fragments (DNS Flag Day 2020). */
const EDNS_BYTES = 1232

/**
 * Asks a server by UDP, and by TCP when the answer is truncated or none comes. Each try has a random id and a port of its
 * own; only the asked address is heard.
 */
export const ask: Ask = async (server, question, { isRecursive, signal, timeoutsMs = TIMEOUTS_MS }) => {
  if (!isAskable(question.name) || isIP(server.address) === 0) {
    throw new SoakpError(502, 'SOAKP_DNS_NAME', `\`${question.name}\` is not a name that DNS can be asked for.`)
  }
  const lastMs = timeoutsMs.at(-1) ?? 0
  let hasExtension = true
  const put = async (exchange: Exchange, timeoutMs: number): Promise<DnsAnswer> => {
    const id = randomInt(0x10000)
    const message = encodeQuestion(question, id, isRecursive, hasExtension)
    return exchange(server, message, (answer) => readAnswer(answer, id, question), timeoutMs, signal)
  }
  for (const timeoutMs of timeoutsMs.slice(0, -1)) {
    try {
      let answer = await put(exchangeDatagram, timeoutMs)
      if (answer.code === 'FORMERR') {
        // Servers from before EDNS (RFC 6891 section 7).
        hasExtension = false
        answer = await put(exchangeDatagram, timeoutMs)
      }
      return answer.isTruncated ? await put(exchangeStream, lastMs) : answer
    } catch (error) {
      if (!(error instanceof NoAnswer) || error.hasNoRoute) throw error
    }
  }
  return put(exchangeStream, lastMs)
}

function encodeQuestion(question: DnsQuestion, id: number, isRecursive: boolean, hasExtension: boolean): Buffer {
  const extension = {
    type: 'OPT',
    name: '.',
    udpPayloadSize: EDNS_BYTES,
    extendedRcode: 0,
    ednsVersion: 0,
    flags: 0,
    flag_do: false,
    options: [],
  } as const
  return encode({
    type: 'query',
    id,
    flags: isRecursive ? RECURSION_DESIRED : 0,
    questions: [{ ...question, class: 'IN' }],
    additionals: hasExtension ? [{ ...extension, options: [] }] : [],
  })
}
