import type { EndpointName } from './endpoints.ts'
import type { Fault } from './faults.ts'

/** Which requests fail: the next `times`, after `skip` that pass. */
export interface FaultOptions {
  readonly times?: number
  readonly skip?: number
}

/** Faults that are still to come, in the order in which they were planned. */
export interface FaultPlan {
  add(endpoint: EndpointName | 'any', fault: Fault, options?: FaultOptions): void
  /** Returns what goes wrong with a request that has just come in. */
  take(endpoint: EndpointName): Fault | undefined
  clear(): void
}

/** Creates a plan without faults. */
export function createFaultPlan(): FaultPlan {
  let planned: { endpoint: EndpointName | 'any'; fault: Fault; times: number; skip: number }[] = []

  return {
    add(endpoint, fault, { times = 1, skip = 0 } = {}) {
      planned.push({ endpoint, fault, times, skip })
    },

    take(endpoint) {
      const next = planned.find((each) => each.endpoint === endpoint || each.endpoint === 'any')
      if (next === undefined) return undefined
      if (next.skip > 0) {
        next.skip -= 1
        return undefined
      }
      next.times -= 1
      if (next.times <= 0) planned = planned.filter((each) => each !== next)
      return next.fault
    },

    clear() {
      planned = []
    },
  }
}
