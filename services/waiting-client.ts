import type { Upgrade } from './upgrades.ts'

/** A client that has asked for a WebSocket and waits for the answer. */
export interface WaitingClient {
  /** Stops watching and pauses the connection. */
  readonly release: () => void
  /** Returns its upgrade with all that it has sent so far, which belongs to the WebSocket. */
  readonly upgrade: () => Upgrade
}

/** A client has to wait before it sends anything (RFC 6455 section 4.1); one that does not is read up to this size. */
const EARLY_BYTES = 65_536

/** Watches a client that waits: that one has left is only noticed by reading. */
export function watchWaitingClient({ connection, head }: Upgrade, onGone: () => void): WaitingClient {
  const early = [head]
  let bytes = head.length

  function onData(chunk: Buffer): void {
    early.push(chunk)
    bytes += chunk.length
    if (bytes > EARLY_BYTES) connection.pause()
  }

  connection.on('data', onData).once('end', onGone).once('close', onGone)
  if (connection.destroyed) onGone()
  return {
    release: () => void connection.pause().off('data', onData).off('end', onGone).off('close', onGone),
    upgrade: () => ({ connection, head: Buffer.concat(early) }),
  }
}
