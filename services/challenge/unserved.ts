import type { ServedReport } from './index.ts'
import type { AwaitedValues, ServedOptions } from './served-options.ts'

/** Waits where no authoritative server can be asked: for the provider's word or, where it gives none, for a while. */
export async function waitWithoutServers(
  { clock, configuration }: ServedOptions,
  { place, provider }: AwaitedValues,
  reason: string,
  start: number,
  signal: AbortSignal,
): Promise<Omit<ServedReport, 'servers'>> {
  const by = provider.settle === undefined ? 'delay' : 'provider'
  if (provider.settle === undefined) await clock.sleep(configuration.delayMs, signal)
  else await provider.settle(place.zone, signal)
  const instead =
    by === 'provider'
      ? `SOAKP took ${place.provider}'s word that its servers are up to date`
      : `SOAKP waited ${Math.round(configuration.delayMs / 1000)} s instead`
  const warning = `${reason}: port 53 seems closed on the way out. ${instead}.`
  return { by, waitedMs: clock.now() - start, warnings: [...(place.warnings ?? []), warning] }
}
