import type { Socket } from 'node:net'
import { setTimeout } from 'node:timers/promises'
import type { Random } from './random.ts'

/** What one side of a connection does next: it writes these bytes, or waits so many milliseconds. */
export type Step = Buffer | number

/** Waits here and there. */
export function withWaits(random: Random, pieces: readonly Buffer[]): Step[] {
  return pieces.flatMap((piece) => (random.percent(30) ? [random.below(20), piece] : [piece]))
}

/** Takes one step after the other for as long as the other side is there. Up to the first wait that is at once. */
export async function take(socket: Socket, steps: readonly Step[]): Promise<void> {
  for (const step of steps) {
    if (!socket.writable) return
    if (typeof step === 'number') await setTimeout(step)
    else socket.write(step)
  }
}
