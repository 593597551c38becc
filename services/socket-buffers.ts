/** What one side of a WebSocket has sent and nobody has taken yet, as part of what all sides together may keep. */
export interface SocketShare {
  /** Tells of a read of so many bytes. */
  readonly add: (bytes: number) => void
  /** Tells that so many of them were a ping or pong. */
  readonly control: (bytes: number) => void
  /** Gives all back: a whole message was taken by the other side. */
  readonly taken: () => void
  /** Gives all back for ever. May be called twice. */
  readonly leave: () => void
}

/** Opens a share; `end` must end its side. It is called at most once, and the share has left then. */
export type OpenSocketShare = (end: () => void) => SocketShare

/** The memory of all WebSockets for messages that are unfinished or wait to be taken. */
export interface SocketBuffers {
  /** Opens shares of an owner, a token. */
  readonly of: (owner: string) => OpenSocketShare
  readonly bytes: () => number
}

/** What is kept of a read beside its bytes; without it, a byte in each read would count as one. */
const READ_BYTES = 256

interface Side {
  readonly owner: string
  readonly end: () => void
  bytes: number
  /** Of these, what may belong to a message. */
  messageBytes: number
}

/**
 * Counts what WebSockets keep, as it comes. When it is more than `mostBytes`, the owner who keeps the most loses the
 * largest of its sides: whoever fills the memory does not end the small messages of others.
 */
export function createSocketBuffers(mostBytes: number): SocketBuffers {
  const sides = new Set<Side>()
  let total = 0

  function clear(side: Side): void {
    total -= side.bytes
    side.bytes = 0
    side.messageBytes = 0
  }

  function leave(side: Side): void {
    clear(side)
    sides.delete(side)
  }

  function of(owner: string): OpenSocketShare {
    return (end) => {
      const side: Side = { owner, end, bytes: 0, messageBytes: 0 }
      sides.add(side)
      return {
        add(bytes) {
          if (!sides.has(side)) return
          side.bytes += bytes + READ_BYTES
          side.messageBytes += bytes
          total += bytes + READ_BYTES
          if (total <= mostBytes) return
          const largest = largestOf(sides)
          leave(largest)
          largest.end()
        },
        control(bytes) {
          // A fragment keeps its whole read alive, pings too, so nothing is given back while there may be one.
          side.messageBytes -= bytes
          if (side.messageBytes <= 0) clear(side)
        },
        taken: () => clear(side),
        leave: () => leave(side),
      }
    }
  }

  return { of, bytes: () => total }
}

/** Finds the largest side of the owner who keeps the most. */
function largestOf(sides: ReadonlySet<Side>): Side {
  const owners = new Map<string, { bytes: number; largest: Side }>()
  for (const side of sides) {
    const { bytes, largest } = owners.get(side.owner) ?? { bytes: 0, largest: side }
    owners.set(side.owner, { bytes: bytes + side.bytes, largest: side.bytes > largest.bytes ? side : largest })
  }
  return [...owners.values()].reduce((most, each) => (each.bytes > most.bytes ? each : most)).largest
}
