import type { WebSocket } from 'ws'

/** Close codes of RFC 6455 section 7.4.1 that SOAKP gives itself. The SDKs report code and reason. */
export const GOING_AWAY = 1001
export const NO_CLOSE_FRAME = 1006
export const POLICY_VIOLATION = 1008
export const MESSAGE_TOO_BIG = 1009
export const UNEXPECTED_CONDITION = 1011
/** Of IANA's registry of close codes. */
export const TRY_AGAIN_LATER = 1013

/** A close frame without a code. */
const NO_CODE = 1005

/** A close reason may be 123 bytes (RFC 6455 section 5.5). */
const MOST_REASON_BYTES = 123

/**
 * Closes a side with a code and reason as `close` events report them. Where there was no close frame, there is none
 * here: the connection just ends. A side that is closing already goes on closing.
 */
export function closeWebSocket(socket: WebSocket, code: number, reason: string | Buffer): void {
  if (socket.readyState !== socket.OPEN) return
  if (code === NO_CODE) socket.close()
  else if (code === NO_CLOSE_FRAME) socket.terminate()
  else socket.close(code, typeof reason === 'string' ? cutReason(reason) : reason)
}

/** Cuts a text to what a close frame can carry, without splitting a character. */
function cutReason(reason: string): Buffer {
  const bytes = new Uint8Array(MOST_REASON_BYTES)
  const { written } = new TextEncoder().encodeInto(reason, bytes)
  return Buffer.from(bytes.subarray(0, written))
}
