import type { Socket } from 'node:net'
import type { WebSocket } from 'ws'

/** One side of a relay: a WebSocket and the connection below it. */
export interface SocketSide {
  readonly webSocket: WebSocket
  readonly connection: Socket
}

/**
 * Watches a side for silence: nothing read and nothing taken for `heartbeatMs`. Then it is pinged with `payload`, and
 * when it is silent for as long again, `onSilent` is called. A side that is not read, because the other one is slow, has
 * no chance to speak and is left in peace; one that takes no byte of what is sent to it is not. Returns a function that
 * stops watching.
 */
export function watchSilence(
  { webSocket, connection }: SocketSide,
  heartbeatMs: number,
  payload: Buffer,
  onSilent: () => void,
): () => void {
  let readWhenAsked: number | undefined

  /** Node calls this once after a silence, and counts the progress of a long write as a sign of life. */
  function onTimeout(): void {
    connection.setTimeout(heartbeatMs)
    const isIdle = webSocket.bufferedAmount === 0
    if (webSocket.isPaused && isIdle) {
      readWhenAsked = undefined
      return
    }
    if (readWhenAsked === connection.bytesRead) {
      onSilent()
      return
    }
    readWhenAsked = connection.bytesRead
    if (isIdle && webSocket.readyState === webSocket.OPEN) webSocket.ping(payload)
  }

  connection.setTimeout(heartbeatMs)
  connection.on('timeout', onTimeout)
  return () => {
    connection.setTimeout(0)
    connection.off('timeout', onTimeout)
  }
}
