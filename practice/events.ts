import { once } from 'node:events'
import { setImmediate, setTimeout } from 'node:timers/promises'
import type { Exchange } from './exchange.ts'

/** One server-sent event; data that is no text goes out as JSON. */
export interface ServerSentEvent {
  readonly event?: string
  readonly data: unknown
}

/**
 * Streams events, each in a write of its own, and ends the answer. Rejects with an AbortError as soon as the client
 * is gone, which ends the iterable too.
 */
export async function streamEvents(
  { response, signal }: Exchange,
  events: Iterable<ServerSentEvent> | AsyncIterable<ServerSentEvent>,
  pauseMs: number,
): Promise<void> {
  response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' })
  response.flushHeaders()
  for await (const event of events) {
    await pause(pauseMs, signal)
    if (!response.write(formatEvent(event))) await once(response, 'drain', { signal })
  }
  response.end()
}

/** Waits; with 0 for the next turn of the event loop, so that Node does not join two writes into one packet. */
export async function pause(pauseMs: number, signal: AbortSignal): Promise<void> {
  if (pauseMs > 0) await setTimeout(pauseMs, undefined, { signal })
  else await setImmediate(undefined, { signal })
}

function formatEvent({ event, data }: ServerSentEvent): string {
  const text = typeof data === 'string' ? data : JSON.stringify(data)
  return event === undefined ? `data: ${text}\n\n` : `event: ${event}\ndata: ${text}\n\n`
}
