import type { WebSocket } from 'ws'
import type { LeakGuard } from './leak-guard.ts'

/** Times of a relayed WebSocket, in milliseconds. */
export interface SocketTimes {
  /** Silence after which a side is pinged; one that is silent for as long again is given up. */
  readonly heartbeatMs: number
  /** How long a side may take to answer a close frame before its connection is ended. */
  readonly closeMs: number
}

/** How a relayed WebSocket ended. */
export interface SocketOutcome {
  readonly end: 'client closed' | 'upstream closed' | 'silent' | 'cut' | 'ended'
  /** The close code (RFC 6455 section 7.4.1) that ended it; 1006 where a side was gone without one. */
  readonly code: number
  readonly messages: number
  readonly bytes: number
}

/** A relay between two open WebSockets. */
export interface RunningSocketRelay {
  readonly outcome: Promise<SocketOutcome>
  /** Ends both sides; the client is told this code and reason. */
  readonly end: (code: number, reason: string) => void
}

/** RFC 6455 section 7.4.1: policy violation. The SDKs report code and reason of the close. */
export const POLICY_VIOLATION = 1008

/** These codes say that there was no close frame or cannot stand in one. */
const UNSENDABLE = new Set([1005, 1006, 1015])

/** A close reason may be 123 bytes (RFC 6455 section 5.5). */
const MOST_REASON_BYTES = 123

/**
 * Joins two open WebSockets: messages with their type, pings, pongs, close codes and reasons go both ways, whole and in
 * order. A side is not read while its last message waits to be taken by the other, so a slow reader slows the sender.
 * A message or reason of the upstream that holds the key is not passed on; it ends both sides.
 */
export function relaySocket(
  client: WebSocket,
  upstream: WebSocket,
  guard: LeakGuard,
  times: SocketTimes,
): RunningSocketRelay {
  const { promise: outcome, resolve } = Promise.withResolvers<SocketOutcome>()
  let messages = 0
  let bytes = 0
  let isOver = false

  function finish(end: SocketOutcome['end'], code: number): void {
    if (isOver) return
    isOver = true
    clearInterval(heartbeat)
    // A side that never answers the close frame must not keep its connection.
    setTimeout(() => [client, upstream].forEach((side) => side.terminate()), times.closeMs).unref()
    resolve({ end, code, messages, bytes })
  }

  function cut(end: SocketOutcome['end'], code: number, reason: string): void {
    finish(end, code)
    close(client, code, reason)
    upstream.terminate()
  }

  function join(from: WebSocket, to: WebSocket, isUpstream: boolean): { lastSeenMs: number } {
    const seen = { lastSeenMs: performance.now() }
    from.on('message', (data: Buffer, isBinary) => {
      seen.lastSeenMs = performance.now()
      if (isUpstream && guard.isIn(data)) return cut('cut', POLICY_VIOLATION, LEAKED)
      messages += 1
      bytes += data.length
      from.pause()
      // The callback comes when the message has been handed to the system; errors end in `close`.
      to.send(data, { binary: isBinary }, () => from.resume())
    })
    from.on('ping', (data: Buffer) => {
      seen.lastSeenMs = performance.now()
      if (to.readyState === to.OPEN) to.ping(data)
    })
    from.on('pong', (data: Buffer) => {
      seen.lastSeenMs = performance.now()
      if (!data.equals(HEARTBEAT) && to.readyState === to.OPEN) to.pong(data)
    })
    // ws closes the connection by itself after an error, with the code that belongs to it.
    from.on('error', () => {})
    from.on('close', (code: number, reason: Buffer) => {
      const isLeak = isUpstream && guard.isIn(reason)
      if (isLeak) close(to, POLICY_VIOLATION, LEAKED)
      else close(to, code, reason.toString())
      finish(isUpstream ? 'upstream closed' : 'client closed', code)
    })
    return seen
  }

  const sides = [
    { socket: client, seen: join(client, upstream, false) },
    { socket: upstream, seen: join(upstream, client, true) },
  ]
  const heartbeat = setInterval(() => {
    const now = performance.now()
    for (const { socket, seen } of sides) {
      const silentMs = now - seen.lastSeenMs
      if (silentMs > 2 * times.heartbeatMs) return cut('silent', 1001, 'the other side is silent')
      if (silentMs > times.heartbeatMs && socket.readyState === socket.OPEN) socket.ping(HEARTBEAT)
    }
  }, times.heartbeatMs / 4).unref()

  return { outcome, end: (code, reason) => cut('ended', code, reason) }
}

const LEAKED = 'the upstream sent the key back; its message was withheld'

/** Tells our own pings from those that are passed on. */
const HEARTBEAT = Buffer.from('soakp')

/** Closes a side with a code and reason as the other side gave them, as far as a close frame can carry them. */
function close(socket: WebSocket, code: number, reason: string): void {
  if (socket.readyState !== socket.OPEN) return
  if (code === 1005) socket.close()
  else if (UNSENDABLE.has(code)) socket.terminate()
  else socket.close(code, cutToBytes(reason, MOST_REASON_BYTES))
}

/** Cuts a text to a number of UTF-8 bytes without splitting a character. */
function cutToBytes(text: string, most: number): string {
  let cut = text
  while (Buffer.byteLength(cut) > most) cut = cut.slice(0, -1)
  return cut
}
