import { fault, ok } from './finding.ts'
import type { Result } from './finding.ts'
import type { UpstreamAnswer } from './upstream.ts'

/** The time of an answer is told in whole seconds and has been under way; tokens are counted in seconds, too. */
const TOLERATED_SECONDS = 60

const REMEDY = 'Set the clock, best by a time service: tokens end too early or too late, and certificates are refused.'

/** Checks the clock against the upstreams' and against the newest record, which cannot be of the future. */
export function checkClock(answers: readonly UpstreamAnswer[], newestRecord: number | undefined, now: number): Result {
  const told = answers.find(({ aheadSeconds }) => aheadSeconds !== undefined)
  const ahead = told?.aheadSeconds ?? 0
  if (told !== undefined && Math.abs(ahead) > TOLERATED_SECONDS) {
    const how = ahead > 0 ? 'behind' : 'ahead of'
    return fault(`The clock of this machine is ${Math.abs(ahead)} s ${how} that of ${told.baseUrl}.`, REMEDY)
  }
  if (newestRecord !== undefined && newestRecord - now / 1_000 > TOLERATED_SECONDS) {
    const time = new Date(newestRecord * 1_000).toISOString()
    return fault(`The newest record is of ${time}, which has not come yet by the clock of this machine.`, REMEDY)
  }
  if (told !== undefined) return ok(`It is right to ${Math.abs(ahead)} s by ${told.baseUrl}.`)
  return ok('Nothing speaks against it, but no upstream told the time.')
}
