import { EventEmitter, once } from 'node:events'
import { pause } from './events.ts'
import type { JsonObject } from './json.ts'
import { writeEvents } from './response-events.ts'
import type { ResponseEvent } from './response-events.ts'
import { openResponse, planResponse } from './response-object.ts'
import type { PracticeResponse } from './response-object.ts'
import { pauseOf } from './text.ts'

/** The making of one response: it goes on by itself, can be followed from any event, and be stopped. */
export interface ResponseRun {
  /** The response as it is now. */
  readonly response: PracticeResponse
  readonly input: unknown
  /** Settles when the run has completed or was stopped. */
  readonly done: Promise<void>
  /** Yields the events from one place on, waits for those to come, and ends with the run. */
  follow(start: number, signal: AbortSignal): AsyncGenerator<ResponseEvent>
  /** Stops a run in its tracks: it stays `cancelled`. Does nothing to a completed one. */
  stop(): void
}

/** Starts the making of a response; `closing` stops it too. */
export function startResponse(body: JsonObject, chunkDelayMs: number, closing: AbortSignal): ResponseRun {
  let response = openResponse(body)
  const planned = writeEvents(response, planResponse(body), body['input'])
  const happened: ResponseEvent[] = []
  const stopping = new AbortController()
  const signal = AbortSignal.any([closing, stopping.signal])
  const news = new EventEmitter().setMaxListeners(0)
  const isOver = (): boolean => response.status === 'completed' || response.status === 'cancelled'

  async function run(): Promise<void> {
    for (const event of planned) {
      happened.push(event)
      response = event.response ?? response
      news.emit('event')
      await pause(pauseOf(response.model, chunkDelayMs), signal)
    }
  }

  const done = run().catch(() => {
    // Only a stop gets here: `pause` is the one thing that rejects.
    if (!isOver()) response = { ...response, status: 'cancelled' }
    news.emit('event')
  })

  return {
    input: body['input'],
    done,
    get response() {
      return response
    },
    async *follow(start, followerSignal) {
      for (let index = start; ; index += 1) {
        while (index >= happened.length && !isOver()) await once(news, 'event', { signal: followerSignal })
        const event = happened[index]
        if (event === undefined) return
        yield event
      }
    },
    stop: () => stopping.abort(),
  }
}
