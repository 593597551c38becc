import type { WebSocket } from 'ws'
import { isJsonObject } from './json.ts'
import type { JsonObject } from './json.ts'

/** One WebSocket of a client. */
export interface SocketSession {
  readonly socket: WebSocket
  readonly query: URLSearchParams
  /** The pause between two events of a response. */
  readonly chunkDelayMs: number
  /** Is aborted when the WebSocket is gone or the practice upstream closes. */
  readonly signal: AbortSignal
}

/** Speaks one endpoint's language on a WebSocket that has just been opened. */
export type OpenSession = (session: SocketSession) => void

/** Calls `onEvent` with each event of a client, and with undefined for a message that is none. */
export function readEvents({ socket }: SocketSession, onEvent: (event: JsonObject | undefined) => void): void {
  socket.on('message', (data: Buffer, isBinary) => onEvent(isBinary ? undefined : parseEvent(data.toString())))
}

function parseEvent(text: string): JsonObject | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isJsonObject(value) && typeof value['type'] === 'string' ? value : undefined
  } catch {
    return undefined
  }
}
