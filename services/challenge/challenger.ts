import type { Challenger } from './index.ts'
import { CHECK_JOURNAL } from './journal.ts'
import { sweep } from './sweep.ts'
import { createTools } from './tools.ts'
import type { ChallengerOptions } from './tools.ts'

/** Creates the challenger of the configured providers. */
export function createChallenger(options: ChallengerOptions): Challenger {
  const { providers, locate, waitUntilServed, recordsOf } = createTools(options)
  const own = recordsOf()
  const ofChecks = recordsOf(CHECK_JOURNAL)

  return {
    ...own.records,
    locate,
    waitUntilServed,

    async sweep(keep, signal) {
      const first = await sweep(own.journal, own.records, keep, signal)
      const second = await sweep(ofChecks.journal, ofChecks.records, keep, signal)
      return { removed: [...first.removed, ...second.removed], failed: [...first.failed, ...second.failed] }
    },

    close: async () => providers.close(),
  }
}
