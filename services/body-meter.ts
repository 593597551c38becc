import { SoakpError } from './errors.ts'
import { countPassed } from './spent-buffers.ts'

/** Counts the bytes of one request's body while it is read. */
export interface BodyMeter {
  /** Bytes that came so far. */
  readonly bytes: number
  /** Tells whether the next piece is waited for: the client's turn, not the upstream's. */
  isWaiting: boolean
  /** Counts a piece. Throws `SOAKP_BODY_TOO_LARGE` (413). */
  readonly count: (chunk: Buffer) => void
}

/** Creates the meter of one body. */
export function createBodyMeter(mostBytes: number): BodyMeter {
  let bytes = 0
  return {
    get bytes() {
      return bytes
    },

    isWaiting: false,

    count(chunk) {
      bytes += chunk.length
      countPassed(chunk.length)
      if (bytes > mostBytes) throw bodyTooLarge(mostBytes)
    },
  }
}

/** Refuses a body whose length is stated and too large. Throws `SOAKP_BODY_TOO_LARGE` (413). */
export function assertLength(contentLength: string | undefined, mostBytes: number): void {
  if (contentLength !== undefined && Number(contentLength) > mostBytes) throw bodyTooLarge(mostBytes)
}

function bodyTooLarge(mostBytes: number): SoakpError {
  const message = `The body is larger than ${mostBytes} bytes. Whoever runs this SOAKP can allow more with SOAKP_BODY_BYTES.`
  return new SoakpError(413, 'SOAKP_BODY_TOO_LARGE', message)
}
