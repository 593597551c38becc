import v8 from 'node:v8'
import { runInNewContext } from 'node:vm'

/** To collect takes about 0.2 ms; to pass so much on takes about 20. */
const EVERY_BYTES = 8_388_608

let uncollected = 0
let collect: NodeJS.GCFunction | undefined

/**
 * Tells that a piece of a body, of so many bytes, has passed through. V8 sees a buffer as an object of a hundred bytes
 * and would let the spent ones of a long transfer grow to 64 MiB and more before it looks; so it is asked to look at
 * its young objects each 8 MiB. The heap is the process's, and so is the count.
 */
export function countPassed(bytes: number): void {
  uncollected += bytes
  if (uncollected < EVERY_BYTES) return
  uncollected = 0
  collect ??= findCollector()
  collect({ type: 'minor', execution: 'sync' })
}

/** Node gives its collector only to a context that is made while this flag is set; the rest of the process gets none. */
function findCollector(): NodeJS.GCFunction {
  v8.setFlagsFromString('--expose-gc')
  try {
    return runInNewContext('gc')
  } finally {
    v8.setFlagsFromString('--no-expose-gc')
  }
}
