import type { ServerHttp2Stream } from 'node:http2'

/** What of a stream is looked at. */
export type WatchedStream = Pick<ServerHttp2Stream, 'closed' | 'destroyed' | 'writableEnded' | 'writableLength'>

/** Finds streams of HTTP/2 that would never close. */
export interface StreamWatch<Stream extends WatchedStream> {
  /** Adds a stream; the function returned takes it away. */
  readonly add: (stream: Stream) => () => void
  /** Returns those that are to be destroyed. Called every second or so; `nowMs` is of a monotonic clock. */
  readonly stuck: (nowMs: number) => readonly Stream[]
}

interface Untaken {
  readonly bytes: number
  readonly sinceMs: number
}

/**
 * Watches for streams that Node would keep for ever: those that the client has reset with NO_ERROR while it left no
 * window for the answer, which never close, not even with their connection, and those of whose whole answer it takes
 * nothing for `idleMs`. A stranger can have as many of them as it likes.
 */
export function createStreamWatch<Stream extends WatchedStream>(idleMs: number): StreamWatch<Stream> {
  const streams = new Map<Stream, Untaken | undefined>()

  function isStuck(stream: Stream, before: Untaken | undefined, nowMs: number): boolean {
    if (stream.destroyed) return false
    // What closes by itself does so within the same turn of the loop.
    if (stream.closed) return before !== undefined
    return stream.writableEnded && before !== undefined && nowMs - before.sinceMs >= idleMs
  }

  function note(stream: Stream, nowMs: number): Untaken | undefined {
    return stream.closed || stream.writableEnded ? { bytes: stream.writableLength, sinceMs: nowMs } : undefined
  }

  return {
    add(stream) {
      streams.set(stream, undefined)
      return () => void streams.delete(stream)
    },

    stuck(nowMs) {
      const found: Stream[] = []
      for (const [stream, known] of streams) {
        const before = known?.bytes === stream.writableLength ? known : undefined
        if (isStuck(stream, before, nowMs)) found.push(stream)
        else streams.set(stream, before ?? note(stream, nowMs))
      }
      return found
    },
  }
}
