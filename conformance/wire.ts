import type { Socket } from 'node:net'

/** One side of a connection. Text is Latin-1 everywhere in this suite: one character is one byte. */
export interface Wire {
  readonly socket: Socket
  /** How the other side ended it: by a FIN, or by a reset; undefined while it is open. */
  readonly ending: () => 'closed' | 'broken' | undefined
  readonly write: (text: string) => void
  /** Takes what came through a mark; undefined when the connection ends without. */
  readonly readThrough: (mark: string) => Promise<string | undefined>
  /** Takes at least one and at most so many bytes; an empty text when the connection has ended. */
  readonly read: (most: number) => Promise<string>
  /** What came and was not taken. */
  readonly rest: () => string
  /** Resolves when the other side has ended the connection. */
  readonly ended: Promise<'closed' | 'broken'>
}

/** Starts to read a socket. */
export function createWire(socket: Socket): Wire {
  const { promise: ended, resolve } = Promise.withResolvers<'closed' | 'broken'>()
  let text = ''
  let ending: 'closed' | 'broken' | undefined
  let change = Promise.withResolvers<void>()

  function noteChange(): void {
    change.resolve()
    change = Promise.withResolvers()
  }

  function noteEnd(how: 'closed' | 'broken'): void {
    ending ??= how
    resolve(ending)
    noteChange()
  }

  socket.on('data', (bytes: Buffer) => {
    text += bytes.toString('latin1')
    noteChange()
  })
  socket.on('end', () => noteEnd('closed'))
  socket.on('error', () => noteEnd('broken'))
  socket.on('close', () => noteEnd('broken'))

  function take(length: number): string {
    const taken = text.slice(0, length)
    text = text.slice(length)
    return taken
  }

  return {
    socket,
    ended,
    ending: () => ending,
    write: (bytes) => void (socket.writable && socket.write(bytes, 'latin1')),
    rest: () => text,

    async readThrough(mark) {
      for (;;) {
        const at = text.indexOf(mark)
        if (at !== -1) return take(at + mark.length)
        if (ending !== undefined) return undefined
        await change.promise
      }
    },

    async read(most) {
      for (;;) {
        if (text !== '' || ending !== undefined) return take(most)
        await change.promise
      }
    },
  }
}
