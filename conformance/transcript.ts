import { closeFrame, readFrame, writeFrame } from './frames.ts'
import type { Frame } from './frames.ts'
import { createProgress } from './progress.ts'
import type { Progress } from './progress.ts'
import type { Wire } from './wire.ts'

/** What one side of a WebSocket was sent. */
export interface Transcript {
  /** Messages with their fragments joined, control frames, and how it ended. */
  readonly events: readonly string[]
  /** How many frames there were. */
  readonly frames: number
}

/** One side of an open WebSocket, which writes down what comes. */
export interface SocketEnd {
  readonly transcript: Transcript
  /** Counts what has come. */
  readonly came: Progress
  readonly send: (frame: Frame) => void
  /** Breaks the connection off. */
  readonly drop: () => void
  /** Resolves when it is over. */
  readonly over: Promise<void>
}

/** Starts to read a side; a close frame is answered with the same code and reason. */
export function openEnd(wire: Wire, isClient: boolean): SocketEnd {
  const events: string[] = []
  const came = createProgress()
  let frames = 0
  let hasClosed = false

  function send(each: Frame): void {
    if (each.type === 'close') hasClosed = true
    writeFrame(wire, each, isClient)
  }

  function note(event: string): void {
    events.push(event)
    came.note(1)
  }

  async function read(): Promise<void> {
    let [type, data] = ['', '']
    for (;;) {
      const each = await readFrame(wire)
      if (each === undefined) return note('the end of the connection')
      if (each.isMasked === isClient) return note('a frame whose mask is wrong')
      frames += 1
      if (each.type === 'close') {
        note(`close ${each.data === '' ? '' : codeOf(each.data)} ${JSON.stringify(each.data.slice(2))}`)
        if (!hasClosed) send(each.data === '' ? closeFrame() : each)
        if (!isClient) wire.socket.end()
        return undefined
      }
      if (each.type === 'ping' || each.type === 'pong') {
        note(`${each.type} ${JSON.stringify(each.data)}`)
        continue
      }
      if (each.type !== 'more') [type, data] = [each.type, '']
      data += each.data
      if (each.isLast) note(`${type} ${JSON.stringify(data)}`)
    }
  }

  return {
    transcript: {
      events,
      get frames() {
        return frames
      },
    },
    came,
    send,
    drop: () => wire.socket.destroy(),
    over: read().catch((error: unknown) => note(String(error))),
  }
}

function codeOf(data: string): number {
  return data.charCodeAt(0) * 256 + data.charCodeAt(1)
}
