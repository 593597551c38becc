import type { TLSSocket } from 'node:tls'
import type { Test } from 'tap'
import { PREFACE, connectHttp2, readFrames } from './http2-frames.ts'
import type { Frame } from './http2-frames.ts'
import type { TestSoakp } from './soakp.ts'

/** A session of HTTP/2 frame by frame. */
export interface FrameSession {
  readonly socket: TLSSocket
  /** The frames that came so far. */
  readonly frames: () => readonly Frame[]
  readonly isOver: () => boolean
  /** Writes frames; resolves when they are taken, or when the connection has ended. */
  readonly write: (...frames: readonly Buffer[]) => Promise<void>
}

/** Opens a session; only the preface is sent. */
export async function openFrames(t: Test, { port, authority = '' }: TestSoakp): Promise<FrameSession> {
  const socket = await connectHttp2(port, authority)
  t.teardown(() => socket.destroy())
  const chunks: Buffer[] = []
  let isOver = false
  let taken: () => void = () => undefined
  socket.on('data', (chunk: Buffer) => chunks.push(chunk))
  socket.on('drain', () => taken())
  socket.on('close', () => {
    isOver = true
    taken()
  })
  socket.write(PREFACE)

  async function write(...all: readonly Buffer[]): Promise<void> {
    if (isOver) return
    const { promise, resolve } = Promise.withResolvers<void>()
    taken = resolve
    if (!socket.write(Buffer.concat(all))) await promise
  }

  return { socket, frames: () => readFrames(Buffer.concat(chunks)), isOver: () => isOver, write }
}
