import type { OwnSecrets } from '../own-secrets.ts'
import { createQueue } from '../queue.ts'
import type { Journal, JournalEntry } from './index.ts'

/** Where the journal lies in the vault. */
const DNS_JOURNAL = 'dns-journal'

/** Where `soakp acme check` notes its probe: a process of its own, it would lose the server's notes and these its. */
export const CHECK_JOURNAL = 'dns-journal-check'

/** Records that can never be removed must not fill the vault: the oldest are forgotten. */
const MAXIMUM_ENTRIES = 1000

/** Creates a journal over SOAKP's own secrets: one sealed document, changed by one change at a time. */
export function createJournal(secrets: Pick<OwnSecrets, 'find' | 'replace'>, id: string = DNS_JOURNAL): Journal {
  const inTurn = createQueue()

  async function change(next: (entries: readonly JournalEntry[]) => readonly JournalEntry[]): Promise<void> {
    return inTurn(async () => {
      const before = await list()
      const after = next(before)
      if (after !== before) await secrets.replace(id, { entries: after })
    })
  }

  async function list(): Promise<readonly JournalEntry[]> {
    const document = await secrets.find(id)
    if (typeof document !== 'object' || document === null || !('entries' in document)) return []
    // The document is authenticated and bound to its id: what comes out is what was put in.
    return document.entries as JournalEntry[]
  }

  return {
    list,

    async add(entry) {
      await change((entries) => (entries.some(isSame(entry)) ? entries : [...entries, entry].slice(-MAXIMUM_ENTRIES)))
    },

    async forget(entry) {
      await change((entries) =>
        entries.some(isSame(entry)) ? entries.filter((each) => !isSame(entry)(each)) : entries,
      )
    },
  }
}

function isSame({ place, value }: Pick<JournalEntry, 'place' | 'value'>): (other: JournalEntry) => boolean {
  return (other) => other.value === value && other.place.name === place.name && other.place.provider === place.provider
}
