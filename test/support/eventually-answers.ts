import { setTimeout } from 'node:timers/promises'
import type { RunningProcess } from './process.ts'

/** How long a server may take to answer: far longer than any should. */
const DEADLINE_MS = 20_000

/** Asks a server that was just started until it answers; rejects with all that it printed when it ends without. */
export async function eventuallyAnswers<Answer>(server: RunningProcess, ask: () => Promise<Answer>): Promise<Answer> {
  const deadline = Date.now() + DEADLINE_MS
  let isOver = false
  void server.ended.finally(() => (isOver = true)).catch(() => undefined)
  for (;;) {
    try {
      return await ask()
    } catch (cause) {
      if (isOver) throw new Error(`The server ended: ${JSON.stringify(await server.ended)}`, { cause })
      if (Date.now() > deadline) throw new Error(`The server does not answer: ${server.stdout()}`, { cause })
    }
    await setTimeout(5)
  }
}

/** Asks until the answer is true; the deadline is there to end what would hang. */
export async function eventuallyTrue(
  what: string,
  ask: () => Promise<boolean>,
  deadlineMs = DEADLINE_MS,
): Promise<void> {
  const deadline = Date.now() + deadlineMs
  while (!(await ask())) {
    if (Date.now() > deadline) throw new Error(`did not come true: ${what}`)
    await setTimeout(30)
  }
}
