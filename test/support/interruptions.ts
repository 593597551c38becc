import { watch } from 'node:fs'
import { join } from 'node:path'
import type { Test } from 'tap'
import { chainFor } from './acme-soakp.ts'
import { DOMAIN, ZONE } from './acme-world.ts'
import type { AcmeWorld } from './acme-world.ts'
import { eventuallyTrue } from './eventually-answers.ts'
import { run, startServer } from './process.ts'
import { ADMIN, temporaryFolder } from './soakp.ts'

const CHALLENGE = `_acme-challenge.${DOMAIN}`
const REQUEST = / -> calling handler\(\)$/
const NEW_ORDER = /\/order-plz -> calling/

/** Where an issuance is interrupted, and how. */
export interface Interruption {
  readonly signal: 'SIGKILL' | 'SIGTERM'
  /** After so many requests to the authority and changes in the data folder, counted from the first request on. */
  readonly afterEvents: number
  /** Stops answering at that moment, before the signal, and answers again when SOAKP has ended. */
  readonly silent?: 'authority' | 'name server'
}

/** What an interruption met. */
export interface Interrupted {
  /** False when the certificate was there before so many events; then SOAKP was interrupted afterwards. */
  readonly isInTime: boolean
  /** How many values of SOAKP stood in the zone when it had ended. */
  readonly orphans: number
  /** How long it took to end. */
  readonly endedAfterMs: number
}

/** How many events there are in an issuance from the first start on: about so many. */
export const MOST_EVENTS = 66

/**
 * Interrupts a SOAKP that gets its first certificate, so many times as is said, starts it again and asserts: the
 * certificate is served, of one order that was issued once; the zone is as it was, with what belongs to others; it ends
 * when it is told to. `changes` are the settings of the last start that differ.
 */
export async function surviveInterruptions(
  t: Test,
  world: AcmeWorld,
  interruptions: readonly Interruption[],
  changes: Readonly<Record<string, string>> = {},
): Promise<readonly Interrupted[]> {
  const environment = {
    ...world.environment,
    SOAKP_DATA_DIR: join(await temporaryFolder(t), 'data'),
    SOAKP_PORT: '0',
    SOAKP_ADMIN_TOKEN: ADMIN,
    SOAKP_LOG_LEVEL: 'info',
  }
  const before = await world.primary.records(ZONE)
  const isAsBefore = async () => String(await world.primary.records(ZONE)) === String(before)
  const foreign = await world.primary.values(CHALLENGE)
  const start = world.pebble.log().length - 1
  const log = (from = start) => world.pebble.log().slice(from)

  const point = interruptions.map((each) => Object.values(each).join(' ')).join(', ')
  const met: Interrupted[] = []
  let ordersToBe = 1
  for (const interruption of interruptions) {
    const from = world.pebble.log().length - 1
    const isDone = async () => log().some((line) => line.includes('Issued certificate')) && (await isAsBefore())
    const ended = await interrupt(t, world, environment, interruption, isDone)
    const values = await world.primary.values(CHALLENGE)
    met.push({ ...ended, orphans: values.filter((value) => !foreign.includes(value)).length })
    if (mayHaveMissedOrder(log(from), interruption)) ordersToBe++
  }

  const server = await startServer(t, { ...environment, ...changes })
  const root = await world.pebble.root()
  try {
    if (Object.keys(changes).length === 0) {
      await eventuallyTrue('the certificate is served', () => isServed(server.port, root))
    }
    await eventuallyTrue('the zone is as it was', isAsBefore)
  } catch (cause) {
    throw new Error(`${point}: not made good\n${server.stdout()}`, { cause })
  }
  server.kill('SIGTERM')
  t.match(await server.ended, { code: 0 })

  const count = (pattern: RegExp) => log().filter((line) => pattern.test(line)).length
  t.equal(count(/set INVALID/), 0, `${point}: no validation failed`, { log: log(), stdout: server.stdout() })
  if (Object.keys(changes).length > 0) return met
  t.equal(count(/Issued certificate serial/), 1, `${point}: issued once`)
  t.ok(count(NEW_ORDER) <= ordersToBe, `${point}: ${count(NEW_ORDER)} orders of at most ${ordersToBe}`)
  return met
}

/** The authority may have an order that SOAKP cannot know of: when it ended before it could have had the answer. */
function mayHaveMissedOrder(log: readonly string[], { silent }: Interruption): boolean {
  const requests = log.filter((line) => REQUEST.test(line))
  const at = requests.findIndex((line) => NEW_ORDER.test(line))
  return at === -1 ? silent === 'authority' : at === requests.length - 1
}

async function isServed(port: number, root: string): Promise<boolean> {
  try {
    await chainFor(port, DOMAIN, root)
    return true
  } catch {
    return false
  }
}

async function interrupt(
  t: Test,
  world: AcmeWorld,
  environment: Readonly<Record<string, string>>,
  { signal, afterEvents, silent }: Interruption,
  isDone: () => Promise<boolean>,
): Promise<Omit<Interrupted, 'orphans'>> {
  const server = silent === 'authority' ? world.pebble : world.primary
  const soakp = run(t, process.execPath, ['bin/soakp.js', 'serve'], { environment })
  let events = 0
  let at: number | undefined
  let stopWatching: (() => void) | undefined
  const count = () => {
    if (++events !== afterEvents) return
    if (silent !== undefined) server.pause()
    at = Date.now()
    soakp.kill(signal)
  }
  const stopListening = world.pebble.onLine((line) => {
    if (!REQUEST.test(line)) return
    if (stopWatching === undefined) {
      const watcher = watch(environment['SOAKP_DATA_DIR'] ?? '', count)
      stopWatching = () => watcher.close()
    }
    count()
  })
  let isOver = false
  const ended = soakp.ended.finally(() => (isOver = true))
  // A name server that is silent by now does not tell whether it is done.
  const isDoneOrInterrupted = async () => isOver || at !== undefined || isDone().catch(() => at !== undefined)
  await eventuallyTrue('it is interrupted or done', isDoneOrInterrupted)
  const isInTime = at !== undefined
  at ??= Date.now()
  soakp.kill(signal)
  const how = await ended
  const endedAfterMs = Date.now() - at
  stopListening()
  stopWatching?.()
  if (silent !== undefined) server.resume()
  t.match(how, signal === 'SIGKILL' ? { signal } : { code: 0 }, how.stderr)
  return { isInTime, endedAfterMs }
}
