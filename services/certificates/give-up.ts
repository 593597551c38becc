import { AcmeError } from '../acme/error.ts'
import type { AcmeClient } from '../acme/index.ts'
import type { Clock } from '../clock.ts'
import { orAborted } from '../or-aborted.ts'
import type { Accounts } from './accounts.ts'
import { isRateLimited } from './failures.ts'
import { heldUntil, holdOf, liveHolds } from './holds.ts'
import type { OpenOrder, Records } from './records.ts'

/** What giving up works with. */
export interface GiveUpTools {
  readonly records: Pick<Records, 'readLimits' | 'changeLimits' | 'readOrders' | 'forgetOrder'>
  readonly clock: Clock
  readonly signal: AbortSignal
}

const LIMIT_MS = 60_000

/** Forgets all orders that are open, and gives up what is pending of them. */
export async function giveUpOrders(tools: GiveUpTools, accounts: Pick<Accounts, 'open'>): Promise<void> {
  for (const order of await tools.records.readOrders()) {
    await tools.records.forgetOrder(order)
    await giveUpAuthorizations(tools, await accounts.open(order.directory), order).catch(() => undefined)
  }
}

/**
 * Gives the pending authorizations of an order up that nobody will resume, so that they do not count against the account
 * (RFC 8555 section 7.5.2). They expire by themselves: whatever fails ends it. An authority that holds off is not asked;
 * throws `rateLimited`, having noted it, when it says so now, for then it must not be asked for anything else either.
 */
export async function giveUpAuthorizations(
  { records, clock, signal }: GiveUpTools,
  client: AcmeClient,
  { url, names, directory }: Pick<OpenOrder, 'url' | 'names' | 'directory'>,
): Promise<void> {
  const since = clock.now()
  try {
    const { holds } = await records.readLimits()
    if (heldUntil(holds, directory, names, since) > since) return
    const { authorizations } = await orAborted(signal, client.readOrder(url, signal))
    for (const each of authorizations.slice(0, names.length)) {
      if (clock.now() > since + LIMIT_MS) return
      const { status } = await orAborted(signal, client.readAuthorization(each, signal))
      if (status === 'pending') await orAborted(signal, client.deactivateAuthorization(each, signal))
    }
  } catch (error) {
    if (!(error instanceof AcmeError) || !isRateLimited(error)) return
    const now = clock.now()
    const hold = { ...holdOf(error, names, now), directory }
    const change = records.changeLimits((limits) => ({ ...limits, holds: [...liveHolds(limits.holds, now), hold] }))
    await change.catch(() => undefined)
    throw error
  }
}
