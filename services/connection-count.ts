import { addressOf } from './networks.ts'

/** Counts open connections by address. */
export interface ConnectionCount {
  /** Counts a connection; undefined where the address has too many. The function returned takes it back, once. */
  readonly add: (ip: string) => (() => void) | undefined
  /** Number of addresses that have connections. */
  readonly addresses: () => number
}

/** Creates the count. Addresses that are `isExempt` may have any number. */
export function createConnectionCount(most: number, isExempt: (ip: string) => boolean): ConnectionCount {
  const counts = new Map<string, number>()

  function change(address: string, by: number): void {
    const count = (counts.get(address) ?? 0) + by
    if (count === 0) counts.delete(address)
    else counts.set(address, count)
  }

  return {
    add(ip) {
      const address = addressOf(ip)
      if ((counts.get(address) ?? 0) >= most && !isExempt(ip)) return undefined
      change(address, 1)
      let isCounted = true
      return () => {
        if (isCounted) change(address, -1)
        isCounted = false
      }
    },

    addresses: () => counts.size,
  }
}
