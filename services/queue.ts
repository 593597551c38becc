/** Does work when all work before it has ended, whatever became of that; settles as the work does. */
export type Queue = <Value>(work: () => Promise<Value>) => Promise<Value>

/** Creates a queue: a document that is read and written again is not to be written by another in between. */
export function createQueue(): Queue {
  let last: Promise<unknown> = Promise.resolve()
  return async (work) => {
    const next = last.then(work)
    last = next.catch(() => undefined)
    return next
  }
}
