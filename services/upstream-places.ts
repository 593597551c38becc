import { SoakpError } from './errors.ts'

/** A place among the calls to an upstream. */
export interface UpstreamPlace {
  /**
   * Undefined when the place is free at once. Else it resolves when it is, and rejects with `SOAKP_UPSTREAM_BUSY` when
   * that takes too long; after `leave` it never settles.
   */
  readonly wait: Promise<void> | undefined
  /** Gives the place up, or the hope for it. May be called twice. */
  readonly leave: () => void
}

/** Places of calls to upstreams. */
export interface UpstreamPlaces {
  /** Takes a place, or a place in the queue. Throws `SOAKP_UPSTREAM_BUSY` (503) when the queue is full. */
  readonly take: (origin: string) => UpstreamPlace
}

/** How many calls there may be to one origin, how many may wait for it, and how long. */
export interface PlacesOptions {
  readonly most: number
  readonly queue: number
  readonly queueMs: number
}

interface Upstream {
  running: number
  /** In order of their coming. */
  readonly waiting: Set<() => void>
}

/** Creates the places. Who takes one before the body is read refuses a call without reading it. */
export function createUpstreamPlaces({ most, queue, queueMs }: PlacesOptions): UpstreamPlaces {
  const upstreams = new Map<string, Upstream>()

  function release(origin: string, upstream: Upstream): void {
    const [next] = upstream.waiting
    // The place goes from hand to hand, so that nobody who comes later takes it in between.
    if (next !== undefined) return next()
    upstream.running -= 1
    if (upstream.running === 0) upstreams.delete(origin)
    return undefined
  }

  function wait(origin: string, upstream: Upstream): UpstreamPlace {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    let state: 'waits' | 'has' | 'left' = 'waits'

    function enter(): void {
      state = 'has'
      clearTimeout(timer)
      upstream.waiting.delete(enter)
      resolve()
    }

    function leave(): void {
      const before = state
      state = 'left'
      clearTimeout(timer)
      upstream.waiting.delete(enter)
      if (before === 'has') release(origin, upstream)
    }

    const timer = setTimeout(() => {
      leave()
      reject(busy())
    }, queueMs)
    upstream.waiting.add(enter)
    return { wait: promise, leave }
  }

  return {
    take(origin) {
      const upstream = upstreams.get(origin) ?? { running: 0, waiting: new Set() }
      if (upstream.running < most) {
        upstreams.set(origin, upstream)
        upstream.running += 1
        let isHeld = true
        const leave = () => {
          if (isHeld) release(origin, upstream)
          isHeld = false
        }
        return { wait: undefined, leave }
      }
      if (upstream.waiting.size >= queue) throw busy()
      return wait(origin, upstream)
    },
  }
}

function busy(): SoakpError {
  const message = 'All connections to the upstream are busy. Try again in a moment.'
  return new SoakpError(503, 'SOAKP_UPSTREAM_BUSY', message, {
    headers: { 'retry-after': '1', 'x-should-retry': 'true' },
  })
}
