/** How long a side may take to answer a close frame before its connection is ended. */
export const CLOSE_MS = 2_000

/** Some clients write long messages in frames of this size. */
const SHORT_FRAME_BYTES = 4_096

/** The options of `ws` on both sides of the relay; `mostBytes` is the longest message, fragments joined. */
export function socketOptions(mostBytes: number) {
  return {
    maxPayload: mostBytes,
    // A fragment keeps all of the read alive with which it came, so their number is what bounds the memory.
    maxFragments: Math.max(1_024, Math.ceil(mostBytes / SHORT_FRAME_BYTES) + 1),
    maxBufferedChunks: 65_536,
    // 94 KiB of it can become 95 MiB.
    perMessageDeflate: false,
    skipUTF8Validation: false,
    // A read can hold ten thousand messages; others have their turn between two of them.
    allowSynchronousEvents: false,
    // Pings are passed on; the other side answers them.
    autoPong: false,
    closeTimeout: CLOSE_MS,
  }
}
