import { sameNames } from '../certificate-names.ts'
import type { OpenOrder } from './records.ts'
import type { RenewalTools } from './renewal.ts'

/** Longer than any authority keeps an order open. */
const LONGEST_MS = 30 * 86_400_000

/**
 * Forgets orders that nobody will resume, so that their records are swept: other names, another directory, a trial that
 * is over. Returns them.
 */
export async function forgetStaleOrders({
  records,
  configuration,
  clock,
  stagingOf,
}: Pick<RenewalTools, 'records' | 'configuration' | 'clock' | 'stagingOf'>): Promise<readonly OpenOrder[]> {
  const { trials } = await records.readLimits()
  const directories = configuration.directories.map(({ url }) => url)
  const onTrial = trials.filter((each) => directories.includes(each)).map(stagingOf)
  const isStale = ({ purpose, directory, names, createdAt }: OpenOrder) =>
    !(purpose === 'trial' ? onTrial : directories).includes(directory) ||
    !sameNames(names, configuration.names) ||
    createdAt < clock.now() - LONGEST_MS
  const stale = (await records.readOrders()).filter(isStale)
  for (const order of stale) await records.forgetOrder(order)
  return stale
}
