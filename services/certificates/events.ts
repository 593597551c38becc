import type { Clock } from '../clock.ts'
import type { CertificateEvent } from './index.ts'
import type { Records } from './records.ts'
import { seconds } from './shown.ts'

/** What may be said of an event beside its sentence. */
export type EventDetails = Partial<Pick<CertificateEvent, 'attempt' | 'duration_ms' | 'directory' | 'code' | 'problem'>>

/** Tells and keeps an event; `cause`, the error behind it, is told but not kept. */
export type Report = (kind: CertificateEvent['kind'], message: string, details?: EventDetails, cause?: unknown) => void

/** The last events, kept across restarts. What cannot be stored is told all the same. */
export interface Timeline {
  readonly report: Report
  /** Newest first. */
  list(): Promise<readonly CertificateEvent[]>
  /** Resolves when what was reported is stored, or could not be. */
  flush(): Promise<void>
}

const MOST_KEPT = 200
const LONGEST_MESSAGE = 2_000

/** Creates the timeline over its document. */
export function createTimeline(
  records: Records,
  clock: Clock,
  tell: (event: CertificateEvent, cause?: unknown) => void,
): Timeline {
  const fresh: CertificateEvent[] = []
  let stored: Promise<readonly CertificateEvent[]> | undefined
  let writing: Promise<void> | undefined
  let isBehind = false

  async function list(): Promise<readonly CertificateEvent[]> {
    stored ??= records.readEvents().catch(() => [])
    return [...fresh.toReversed(), ...(await stored)].slice(0, MOST_KEPT)
  }

  /** One write at a time; what comes meanwhile goes with the next. */
  async function write(): Promise<void> {
    while (isBehind) {
      isBehind = false
      await records.writeEvents(await list()).catch(() => undefined)
    }
    writing = undefined
  }

  return {
    list,

    report(kind, message, details = {}, cause) {
      const event = {
        at: seconds(clock.now()),
        attempt: null,
        kind,
        message: shorten(message),
        duration_ms: null,
        directory: null,
        code: null,
        problem: null,
        ...details,
      }
      fresh.push(event)
      if (fresh.length > MOST_KEPT) fresh.shift()
      tell(event, cause)
      isBehind = true
      writing ??= write()
    },

    async flush() {
      await writing
    },
  }
}

/** Authorities have a say in it. */
function shorten(message: string): string {
  return message.length > LONGEST_MESSAGE ? `${message.slice(0, LONGEST_MESSAGE)}…` : message
}
