/** The events of a stream, each parsed. It can be read once; leaving the loop, or `abort`, ends the call. */
export interface EventStream<Event = unknown> extends AsyncIterable<Event> {
  abort(): void
}

/** How the APIs of this kind say that a stream is whole. */
const DONE = '[DONE]'

/**
 * Reads server-sent events (WHATWG HTML, section 9.2) whose data is JSON. `fail` makes the error of an event that
 * carries one.
 */
export function readEvents(body: ReadableStream<Uint8Array>, fail: (error: unknown) => Error): EventStream {
  const reader = body.getReader()
  const abort = () => void reader.cancel().catch(() => undefined)

  async function* events(): AsyncGenerator {
    const decoder = new TextDecoder()
    let text = ''
    let data: string[] = []
    try {
      for (;;) {
        const { done, value } = await reader.read()
        if (done) return
        text += decoder.decode(value, { stream: true })
        const lines = text.split(LINE_END)
        text = lines.pop() ?? ''
        for (const line of lines) {
          if (line.startsWith('data:')) data.push(line.slice(line.startsWith('data: ') ? 6 : 5))
          if (line !== '' || data.length === 0) continue
          const whole = data.join('\n')
          data = []
          if (whole === DONE) return
          yield parse(whole, fail)
        }
      }
    } finally {
      abort()
    }
  }

  return { [Symbol.asyncIterator]: events, abort }
}

/** A carriage return at the end may be half of a line end. */
const LINE_END = /\r\n|\n|\r(?!$)/

function parse(data: string, fail: (error: unknown) => Error): unknown {
  const event: unknown = JSON.parse(data)
  if (typeof event === 'object' && event !== null && 'error' in event && event.error) throw fail(event.error)
  return event
}
