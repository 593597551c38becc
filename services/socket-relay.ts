import { randomBytes } from 'node:crypto'
import type { WebSocket } from 'ws'
import type { LeakGuard } from './leak-guard.ts'
import type { OpenSocketShare } from './socket-buffers.ts'
import * as closing from './socket-close.ts'
import { closeWebSocket } from './socket-close.ts'
import { watchSilence } from './socket-silence.ts'
import type { SocketSide } from './socket-silence.ts'
import { countPassed } from './spent-buffers.ts'

/** Times of a relayed WebSocket, in milliseconds. */
export interface SocketTimes {
  /** Silence after which a side is pinged; one that is silent for as long again is given up. */
  readonly heartbeatMs: number
  /** How long the upstream may take to end once the client has gone. */
  readonly closeMs: number
}

/** How a relayed WebSocket ended. */
export interface SocketOutcome {
  readonly end: 'client closed' | 'upstream closed' | 'silent' | 'cut' | 'crowded out' | 'ended'
  /** The close code that ended it (RFC 6455 section 7.4.1); 1006 where a side was gone without one. */
  readonly code: number
  /** Messages and their bytes, both ways. */
  readonly messages: number
  readonly bytes: number
}

/** A relay between two open WebSockets. */
export interface RunningSocketRelay {
  /** Resolves when the client's side is closed. The upstream's is then closing. */
  readonly outcome: Promise<SocketOutcome>
  /** Ends both sides at once; the client is told this code and reason. */
  readonly end: (code: number, reason: string) => void
}

/**
 * Joins two open WebSockets and starts to read them: messages with their type, pings, pongs, close codes and reasons go
 * both ways, whole and in order. A side is not read while something of it waits to be taken by the other, so a slow
 * reader slows the sender. What waits is one message, the rest of the read that it came with, and one read more; a read
 * is 64 KiB. What is unfinished or waits is counted by a share for each side.
 * A message, ping or reason of the upstream that holds the key is not passed on; it ends both sides.
 */
export function relaySocket(
  client: SocketSide,
  upstream: SocketSide,
  guard: LeakGuard,
  times: SocketTimes,
  openShare: OpenSocketShare,
): RunningSocketRelay {
  const { promise: outcome, resolve } = Promise.withResolvers<SocketOutcome>()
  // Tells our own pings from those that are passed on.
  const heartbeat = randomBytes(8)
  let first: Pick<SocketOutcome, 'end' | 'code'> | undefined
  let messages = 0
  let bytes = 0

  function cut(end: SocketOutcome['end'], code: number, reason: string): void {
    first ??= { end, code }
    upstream.webSocket.terminate()
    closeWebSocket(client.webSocket, code, reason)
  }

  /** Frees the memory at once: after a close frame, `ws` would go on to read for as long as the client may answer it. */
  function crowdOut(): void {
    const isDeaf = client.webSocket.bufferedAmount > 0
    cut('crowded out', closing.TRY_AGAIN_LATER, CROWDED)
    if (isDeaf) client.webSocket.terminate()
    else client.connection.destroySoon()
  }

  function finish(end: SocketOutcome['end'], code: number): void {
    stopWatching.forEach((stop) => stop())
    const deadline = setTimeout(() => upstream.webSocket.terminate(), times.closeMs).unref()
    upstream.webSocket.once('close', () => clearTimeout(deadline))
    resolve({ ...(first ?? { end, code }), messages, bytes })
  }

  function join({ webSocket: from, connection }: SocketSide, to: WebSocket, isUpstream: boolean): void {
    const share = openShare(crowdOut)
    // Those of a client have a mask (RFC 6455 section 5.2).
    const headBytes = isUpstream ? 2 : 6
    let undelivered = 0
    let fault: Error | undefined
    let onDelivered = (): void => {}

    /** Lets `from` wait until the system has taken what is sent. An error of `to` is no matter: it ends in `close`. */
    function pass(data: Buffer, send: (delivered: () => void) => void): void {
      if (isUpstream && guard.isIn(data)) return cut('cut', closing.POLICY_VIOLATION, LEAKED)
      undelivered += 1
      from.pause()
      send(() => {
        undelivered -= 1
        if (undelivered > 0) return
        from.resume()
        onDelivered()
      })
    }

    function onClose(code: number, reason: Buffer): void {
      const end = isUpstream ? 'upstream closed' : 'client closed'
      const passOn = () => {
        share.leave()
        closeWebSocket(to, ...closeFor(code, reason))
      }
      first ??= { end, code }
      if (undelivered === 0) passOn()
      else onDelivered = passOn
      if (!isUpstream) finish(end, code)
    }

    function closeFor(code: number, reason: Buffer): [number, string | Buffer] {
      if (!isUpstream) return [code, reason]
      if (guard.isIn(reason)) return [closing.POLICY_VIOLATION, LEAKED]
      return fault === undefined ? [code, reason] : closeForFault(fault)
    }

    const count = (chunk: Buffer) => share.add(chunk.length)
    // Before `ws` makes events of it.
    connection.prependListener('data', count)
    from.on('message', (data: Buffer, isBinary) => {
      messages += 1
      bytes += data.length
      countPassed(data.length)
      pass(data, (delivered) => {
        to.send(data, { binary: isBinary }, () => {
          share.taken()
          delivered()
        })
      })
    })
    from.on('ping', (data: Buffer) => {
      share.control(headBytes + data.length)
      pass(data, (delivered) => to.ping(data, undefined, delivered))
    })
    from.on('pong', (data: Buffer) => {
      share.control(headBytes + data.length)
      if (!data.equals(heartbeat)) pass(data, (delivered) => to.pong(data, undefined, delivered))
    })
    // ws closes the connection itself after an error, with the code that belongs to it.
    from.on('error', (error) => {
      fault ??= error
      // It is read without being kept from here on; what is kept is kept until the end.
      connection.off('data', count)
    })
    if (from.readyState === from.CLOSED) onClose(closing.NO_CLOSE_FRAME, Buffer.alloc(0))
    else from.once('close', onClose)
    from.resume()
  }

  const stopWatching = [
    watchSilence(client, times.heartbeatMs, heartbeat, () => cut('silent', closing.GOING_AWAY, 'no answer to pings')),
    watchSilence(upstream, times.heartbeatMs, heartbeat, () =>
      cut('silent', closing.UNEXPECTED_CONDITION, 'the upstream does not answer pings'),
    ),
  ]
  join(client, upstream.webSocket, false)
  join(upstream, client.webSocket, true)
  return { outcome, end: (code, reason) => cut('ended', code, reason) }
}

const LEAKED = 'the upstream sent the key back; its message was withheld'

const CROWDED = 'unfinished messages of all WebSockets exceed SOAKP_SOCKET_BUFFER_BYTES; try again later'

/** Tells the client what the upstream did wrong: to the upstream itself `ws` has said it. */
function closeForFault(fault: Error & { code?: string }): [number, string] {
  if (fault.code === 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH') {
    return [closing.MESSAGE_TOO_BIG, "the upstream's message is longer than SOAKP_SOCKET_MESSAGE_BYTES"]
  }
  if (fault.code?.startsWith('WS_ERR_') === true) {
    return [closing.UNEXPECTED_CONDITION, 'the upstream broke the WebSocket protocol']
  }
  return [closing.NO_CLOSE_FRAME, '']
}
