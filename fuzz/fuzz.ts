import { setTimeout } from 'node:timers/promises'
import { callRight, runCase } from './client.ts'
import type { Failure } from './client.ts'
import { TIMES } from './target.ts'
import type { Target } from './target.ts'

/** How a target is fuzzed. */
export interface FuzzOptions {
  readonly seed: number
  /** The cases from 0 up to, but not, this. */
  readonly count: number
  /** This case alone. */
  readonly only?: number | undefined
  readonly parallel?: number
  readonly hangMs?: number
  /** After so many cases a right call has to work. */
  readonly wellEvery?: number
  readonly onProgress?: (done: number) => void
}

/** What came of it. */
export interface FuzzReport {
  readonly cases: number
  readonly failures: readonly Failure[]
}

/** Time in which the end of a process is heard of. */
const EXIT_MS = 500

/** More would be more of the same. */
const MOST_FAILURES = 20

/** Runs cases, many at a time, until all are done or the target has ended. */
export async function fuzz(target: Target, options: FuzzOptions): Promise<FuzzReport> {
  const { seed, count, only, parallel = 96, hangMs = TIMES.hangMs, wellEvery = 500, onProgress } = options
  const failures: Failure[] = []
  const running = new Set<number>()
  const end = only === undefined ? count : only + 1
  let next = only ?? 0
  let cases = 0
  let exit: Failure | undefined

  async function waitForExit(): Promise<void> {
    const detail = await target.ended
    const among = running.size > 0 ? [...running] : failures.map(({ index }) => index)
    exit = { index: among[0] ?? 0, kind: 'exit', detail: `one of the cases ${among.join(', ')}: ${detail}` }
  }

  const isOver = () => next >= end || exit !== undefined || failures.length >= MOST_FAILURES

  async function work(): Promise<void> {
    while (!isOver()) {
      const index = next
      next += 1
      running.add(index)
      const found = await runCase(target, seed, index, hangMs).catch((error: unknown): Failure => {
        return { index, kind: 'wrong answer', detail: String(error) }
      })
      const isCheck = index % wellEvery === 0 || index === end - 1
      const well = isCheck ? await callRight(target, index, hangMs) : undefined
      running.delete(index)
      // What a process that ends leaves behind is no failure of its own.
      if (exit === undefined) failures.push(...[found, well].filter((each) => each !== undefined))
      cases += 1
      onProgress?.(cases)
    }
  }

  const exited = waitForExit()
  await Promise.race([exited, Promise.all(Array.from({ length: parallel }, work))])
  // Calls fail before one hears that the process has ended.
  if (failures.length > 0) await Promise.race([exited, setTimeout(EXIT_MS)])
  if (exit !== undefined) failures.unshift(exit)
  if (target.hasPrintedSecret()) failures.push({ index: 0, kind: 'leak', detail: 'a secret was printed' })
  return { cases, failures }
}
