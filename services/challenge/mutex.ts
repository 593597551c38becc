import { orAborted } from '../or-aborted.ts'

/** Runs what is given to it under one key one after the other. Rejects at once when aborted while it waits. */
export type Mutex = <Value>(key: string, signal: AbortSignal, run: () => Promise<Value>) => Promise<Value>

/** Creates a mutex per key. */
export function createMutex(): Mutex {
  const tails = new Map<string, Promise<void>>()

  return async (key, signal, run) => {
    const before = tails.get(key) ?? Promise.resolve()
    const turn = Promise.withResolvers<void>()
    // Who gives up waiting still stands in the row: the next one waits for all before.
    const tail = before.then(async () => turn.promise)
    tails.set(key, tail)
    const forget = async () => {
      await tail
      if (tails.get(key) === tail) tails.delete(key)
    }
    void forget()
    try {
      await orAborted(signal, before)
      return await run()
    } finally {
      turn.resolve()
    }
  }
}
