/** Settles as `promise` does, or rejects as soon as the signal aborts, also where what is waited for is deaf to it. */
export async function orAborted<Value>(signal: AbortSignal, promise: Promise<Value>): Promise<Value> {
  // Whichever is second must not count as unhandled.
  promise.catch(() => undefined)
  signal.throwIfAborted()
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const abort = () => reject(signal.reason)
  signal.addEventListener('abort', abort, { once: true })
  try {
    return await Promise.race([promise, aborted])
  } finally {
    signal.removeEventListener('abort', abort)
  }
}
