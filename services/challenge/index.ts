import type { Zone } from '../dns/index.ts'

/** Where a name's challenge value is written: found once for an order, CNAMEs followed. */
export interface ChallengePlace {
  /** The name that is proved, without `*.`: `ai.example.com`. */
  readonly domain: string
  /** Where the TXT record goes: `_acme-challenge.ai.example.com`, or what its CNAMEs lead to. */
  readonly name: string
  readonly zone: Zone
  /** The provider that holds the zone, by its name in the configuration. */
  readonly provider: string
  /** With `one`, values at this name are proved one after the other. */
  readonly valuesPerName: 'many' | 'one'
  /** What an operator should know; the report of the wait repeats it. */
  readonly warnings?: readonly string[]
}

/** How a wait for the authoritative servers went. Times are milliseconds. */
export interface ServedReport {
  /** `authoritative`: every server asked has the values. `provider` and `delay` are fallbacks where port 53 is closed. */
  readonly by: 'authoritative' | 'provider' | 'delay'
  readonly waitedMs: number
  /** Each address of each server, and after how long it first had all the values; null for one that never answered. */
  readonly servers: readonly { readonly name: string; readonly address: string; readonly afterMs: number | null }[]
  /** What an operator should know: servers that do not answer, a fallback that was taken. */
  readonly warnings: readonly string[]
}

/** Writes, checks and removes the TXT records of DNS-01 challenges (RFC 8555 section 8.4). Throws `SoakpError`s. */
export interface Challenger {
  /**
   * Finds where the challenge of a domain goes. Asks the authoritative servers from the top-level domain down; no
   * recursive resolver hears the challenge's name. Throws `SOAKP_DNS_ZONE`, `SOAKP_DNS_CNAME`, `SOAKP_DNS_LAME`, `SOAKP_DNS_UNREACHABLE`.
   */
  locate(domain: string, signal: AbortSignal): Promise<ChallengePlace>
  /** Writes a value, noted in the journal before. May be repeated. */
  write(place: ChallengePlace, value: string, signal: AbortSignal): Promise<void>
  /** Resolves when every address of every authoritative server has answered all values, twice. Throws `SOAKP_DNS_NOT_SERVED`. */
  waitUntilServed(place: ChallengePlace, values: readonly string[], signal: AbortSignal): Promise<ServedReport>
  /** Removes a value and its note. What is gone already is fine. */
  remove(place: ChallengePlace, value: string, signal: AbortSignal): Promise<void>
  /** Removes whatever the journal still notes, except `keep`: what a killed process left behind. Never rejects for one record because of another. */
  sweep(keep: readonly string[], signal: AbortSignal): Promise<SweepReport>
  close(): Promise<void>
}

/** What a sweep did. */
export interface SweepReport {
  readonly removed: readonly JournalEntry[]
  /** These stay noted and are tried again by the next sweep. */
  readonly failed: readonly { readonly entry: JournalEntry; readonly error: unknown }[]
}

/** A write as it is noted before it is made. */
export interface JournalEntry {
  readonly place: ChallengePlace
  readonly value: string
  /** Unix milliseconds. */
  readonly at: number
}

/** Notes writes durably: an `add` that has resolved survives `kill -9`. */
export interface Journal {
  add(entry: JournalEntry): Promise<void>
  /** Forgets the entry of this name and value. */
  forget(entry: Pick<JournalEntry, 'place' | 'value'>): Promise<void>
  list(): Promise<readonly JournalEntry[]>
}
