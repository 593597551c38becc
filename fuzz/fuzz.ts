import { setTimeout } from 'node:timers/promises'
import { callRight, runCase } from './client.ts'
import type { Failure } from './client.ts'
import { findByHalves } from './halves.ts'
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
  /** After so many cases nothing may be left of them. */
  readonly leftEvery?: number
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
  const { seed, count, only, parallel = 96, hangMs = TIMES.hangMs } = options
  const { wellEvery = 500, leftEvery = 50_000, onProgress } = options
  const failures: Failure[] = []
  const running = new Set<number>()
  const end = only === undefined ? count : only + 1
  let cases = 0
  let exit: Failure | undefined

  async function waitForExit(): Promise<void> {
    const detail = await target.ended
    const among = running.size > 0 ? [...running] : failures.map(({ index }) => index)
    exit = { index: Math.max(0, ...among), kind: 'exit', detail: `one of the cases ${among.join(', ')}: ${detail}` }
  }

  const isOver = () => exit !== undefined || failures.length >= MOST_FAILURES

  async function runOne(index: number): Promise<void> {
    running.add(index)
    const found = await runCase(target, seed, index, hangMs).catch((error: unknown): Failure => {
      return { index, kind: 'wrong answer', detail: String(error) }
    })
    const isCheck = index % wellEvery === 0 || index === end - 1
    const well = isCheck ? await callRight(target, index, hangMs) : undefined
    running.delete(index)
    failures.push(...[found, well].filter((each) => each !== undefined))
  }

  async function run(from: number, to: number, onDone?: () => void): Promise<void> {
    let next = from
    async function work(): Promise<void> {
      while (next < to && !isOver()) {
        next += 1
        await runOne(next - 1)
        onDone?.()
      }
    }
    await Promise.race([exited, Promise.all(Array.from({ length: parallel }, work))])
    // Calls fail before one hears that the process has ended.
    if (failures.length > 0) await Promise.race([exited, setTimeout(EXIT_MS)])
  }

  /** Waits for the end of all that was begun; tells what does not end, or nothing. */
  async function left(): Promise<string> {
    return (exit === undefined && (await Promise.race([exited, target.left().catch(String)]))) || ''
  }

  const exited = waitForExit()
  for (let from = only ?? 0; from < end && !isOver(); from += leftEvery) {
    const to = Math.min(end, from + leftEvery)
    await run(from, to, () => {
      cases += 1
      onProgress?.(cases)
    })
    const what = await left()
    if (what === '') continue
    const isLeft = async (...half: [from: number, to: number]) => {
      await run(...half)
      return (await left()) !== ''
    }
    // It may well be of a failure that is known.
    const index = failures.length === 0 ? await findByHalves(from, to, isLeft) : from
    const detail = `${what} left by one of the cases ${from} to ${to - 1}, if nothing else failed most likely by this one`
    failures.push({ index, kind: 'hang', detail })
  }
  // What a process that ends leaves behind is no failure of its own.
  if (exit !== undefined) failures.splice(0, failures.length, exit, ...failures.filter(({ kind }) => kind === 'leak'))
  if (target.hasPrintedSecret()) failures.push({ index: 0, kind: 'leak', detail: 'a secret was printed' })
  return { cases, failures }
}
