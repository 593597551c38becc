import { LRUCache } from 'lru-cache'

interface Window {
  count: number
  readonly endsAt: number
}

type Callback = (error: Error | null, result?: { current: number; ttl: number }) => void

/** Addresses or tokens that are counted at once; an IPv6 attacker has to own this many /64 networks to be forgotten. */
const MOST_KEYS = 100_000

/**
 * The store of @fastify/rate-limit: fixed windows from a key's first request, on a monotonic clock that clock changes do
 * not reset. The package's own counts on `Date.now()` and forgets after 5,000 keys.
 */
export class WindowStore {
  readonly #windows = new LRUCache<string, Window>({ max: MOST_KEYS })
  readonly #nowMs: () => number

  constructor({ nowMs = () => performance.now() }: { readonly nowMs?: () => number } = {}) {
    this.#nowMs = nowMs
  }

  incr(key: string, callback: Callback, timeWindowMs: number): void {
    const now = this.#nowMs()
    const known = this.#windows.get(key)
    const window = known !== undefined && known.endsAt > now ? known : { count: 0, endsAt: now + timeWindowMs }
    window.count += 1
    if (window !== known) this.#windows.set(key, window)
    callback(null, { current: window.count, ttl: window.endsAt - now })
  }

  read(key: string, callback: Callback, timeWindowMs: number): void {
    const now = this.#nowMs()
    const known = this.#windows.get(key)
    if (known === undefined || known.endsAt <= now) callback(null, { current: 0, ttl: timeWindowMs })
    else callback(null, { current: known.count, ttl: known.endsAt - now })
  }

  /** Every limiter counts for itself. */
  child(): WindowStore {
    return new WindowStore({ nowMs: this.#nowMs })
  }
}
