import { setTimeout } from 'node:timers/promises'

/** Something that is counted; when nothing is under way it is as it was. */
export type Counts = Readonly<Record<string, () => Promise<number>>>

const LOOK_MS = 100

/** Longer than SOAKP keeps a connection on which nothing is under way; most have ended within two seconds. */
const KEPT_MS = 80_000

/** Creates `Target.left`: each count has to fall to the least that it ever was. At its first call nothing may be under way. */
export function createLeft(counts: Counts, mostMs = KEPT_MS): () => Promise<string> {
  const least = new Map<string, number>()

  return async () => {
    const deadline = performance.now() + mostMs
    for (;;) {
      const now: [name: string, number: number][] = []
      // One after the other: to count one thing may take another.
      for (const [name, count] of Object.entries(counts)) now.push([name, await count()])
      for (const [name, number] of now) least.set(name, Math.min(number, least.get(name) ?? number))
      const more = now.map(([name, number]) => [name, number - (least.get(name) ?? 0)] as const)
      const found = more.filter(([, number]) => number > 0).map(([name, number]) => `${number} ${name}`)
      if (found.length === 0) return ''
      if (performance.now() > deadline) {
        for (const [name, number] of now) least.set(name, number)
        return found.join(', ')
      }
      await setTimeout(LOOK_MS)
    }
  }
}
