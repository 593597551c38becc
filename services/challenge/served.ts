import type { DnsConfiguration } from '../acme-configuration.ts'
import { textsOf } from '../dns-wire/query-answer.ts'
import type { HostAddress, Verdict } from '../dns-wire/resolver-zone.ts'
import { SoakpError } from '../errors.ts'
import type { ChallengePlace, ServedReport } from './index.ts'
import { findServerSet, SILENT_TRIES } from './server-set.ts'
import type { AwaitedValues, ServedOptions } from './served-options.ts'
import { waitWithoutServers } from './unserved.ts'

/** How many rounds in a row have to be good: a server may be several machines that lag one by one. */
const GOOD_ROUNDS = 2
const FIRST_PAUSE_MS = 500
const LONGEST_PAUSE_MS = 5000
/** An address and how it went with it. */
interface Watched extends HostAddress {
  goodInRow: number
  afterMs: number | null
  hasAnswered: boolean
  last: string
}

/**
 * Waits until the authoritative servers answer all values, twice in a row. Where none of them can be asked it waits for
 * the provider's own word, or for the configured time. Throws `SOAKP_DNS_NOT_SERVED`.
 */
export async function waitUntilServed(
  options: ServedOptions,
  awaited: AwaitedValues,
  signal: AbortSignal,
): Promise<ServedReport> {
  const { clock, configuration } = options
  const start = clock.now()
  const set = await findServerSet(options, awaited.place, start, signal)
  if (typeof set === 'string')
    return { ...(await waitWithoutServers(options, awaited, set, start, signal)), servers: [] }

  const warnings = [...(awaited.place.warnings ?? []), ...set.warnings]
  const watched = set.servers.map(({ name, address }): Watched => ({
    name,
    address,
    goodInRow: 0,
    afterMs: null,
    hasAnswered: false,
    last: '',
  }))
  const needed = configuration.policy === 'all' ? watched.length : Math.floor(watched.length / 2) + 1
  let pauseMs = FIRST_PAUSE_MS
  for (let round = 1; ; round += 1) {
    await Promise.all(watched.map(async (server) => check(options, awaited, set.zone, server, start, signal)))
    const waitedMs = clock.now() - start
    if (watched.filter(({ goodInRow }) => goodInRow >= GOOD_ROUNDS).length >= needed) {
      return { by: 'authoritative', waitedMs, servers: watched.map(shown), warnings }
    }
    if (round === SILENT_TRIES && !watched.some(({ hasAnswered }) => hasAnswered)) {
      const reason = `None of the servers of \`${set.zone}\` can be asked from this machine`
      const report = await waitWithoutServers(options, awaited, reason, start, signal)
      return { ...report, servers: watched.map(shown) }
    }
    if (waitedMs >= configuration.waitMs) throw notServed(awaited.place, watched, waitedMs, configuration.policy)
    const isNearlyThere = watched.filter(({ goodInRow }) => goodInRow > 0).length >= needed
    await clock.sleep(isNearlyThere ? FIRST_PAUSE_MS : pauseMs, signal)
    pauseMs = Math.min(pauseMs * 1.5, LONGEST_PAUSE_MS)
  }
}

async function check(
  { resolver, clock }: ServedOptions,
  { place, values }: AwaitedValues,
  zone: string,
  server: Watched,
  start: number,
  signal: AbortSignal,
): Promise<void> {
  const verdict = await resolver.askServer(zone, server, { name: place.name, type: 'TXT' }, signal)
  const texts = verdict.kind === 'authoritative' ? textsOf(verdict.answer.answers, place.name) : []
  const missing = values.filter((value) => !texts.includes(value)).length
  const isGood = verdict.kind === 'authoritative' && missing === 0
  server.hasAnswered ||= verdict.kind !== 'silent'
  server.goodInRow = isGood ? server.goodInRow + 1 : 0
  if (isGood) server.afterMs ??= clock.now() - start
  server.last = said(verdict, zone, texts.length, missing, values.length)
}

function said(verdict: Verdict, zone: string, found: number, missing: number, wanted: number): string {
  if (verdict.kind === 'lame' || verdict.kind === 'silent') return verdict.reason
  if (verdict.kind === 'referral') return `is not authoritative for \`${zone}\``
  if (missing === 0) return 'has them'
  if (verdict.answer.code === 'NXDOMAIN') return 'knows no such name'
  return `misses ${missing} of ${wanted}, with ${found} at the name`
}

function notServed(
  place: ChallengePlace,
  watched: readonly Watched[],
  waitedMs: number,
  policy: DnsConfiguration['policy'],
): SoakpError {
  const list = watched
    .filter(({ goodInRow }) => goodInRow < GOOD_ROUNDS)
    .map(({ name, address, last }) => `${name} (${address}) ${last}`)
  const hint =
    policy === 'all' && list.length * 2 < watched.length
      ? 'Correct these servers, or let more than half of them be enough by SOAKP_DNS_POLICY=quorum.'
      : 'Correct these servers, or give them longer by SOAKP_DNS_WAIT_SECONDS.'
  const message = `After ${Math.round(waitedMs / 1000)} s not all servers have the TXT values of \`${place.name}\`: ${list.join('; ')}. ${hint}`
  return new SoakpError(502, 'SOAKP_DNS_NOT_SERVED', message)
}

function shown({ name, address, afterMs }: Watched): ServedReport['servers'][number] {
  return { name, address, afterMs }
}
