import { Resolver } from 'node:dns/promises'
import { eventuallyAnswers } from './eventually-answers.ts'
import type { RunningProcess } from './process.ts'

/** What comes of a question that nobody answers. */
const SILENCE = ['ECONNREFUSED', 'ETIMEOUT', 'ECANCELLED']

/** Waits until a DNS server that was just started answers on port 53 of its address, if only with a refusal. */
export async function answersQueries(server: RunningProcess, address: string): Promise<void> {
  const resolver = new Resolver({ timeout: 100, tries: 1 })
  resolver.setServers([`${address}:53`])
  await eventuallyAnswers(server, async () => {
    try {
      await resolver.resolve4('ready.invalid')
    } catch (error) {
      const { code = '' } = error as NodeJS.ErrnoException
      if (SILENCE.includes(code)) throw error
    }
  })
}
