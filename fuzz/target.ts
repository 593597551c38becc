/** What is fuzzed: a SOAKP, or a stand-in of a test. */
export interface Target {
  /** Port of plain HTTP/1.1. */
  readonly port: number
  /** Port and authority of HTTP/2 over TLS; undefined where there is none. */
  readonly secure: { readonly port: number; readonly authority: string; readonly token: string } | undefined
  /** A token with which the upstream of the fuzz is called. */
  readonly token: string
  /** The admin credential. */
  readonly admin: string
  /** Secrets that must not come out. */
  readonly secrets: readonly Buffer[]
  /** Resolves, with what it said, when a process of the target ends by itself. */
  readonly ended: Promise<string>
  /**
   * Waits until everything that was begun has ended, connections and calls. Tells what does not end in time, once; an empty
   * text if there is nothing.
   */
  readonly left: () => Promise<string>
  /** Tells whether a secret was printed. */
  readonly hasPrintedSecret: () => boolean
}

/** Times of the target, all short: what takes longer than the last is a hang. */
export const TIMES = { upstreamMs: 1_000, clientMs: 2_000, hangMs: 12_000 } as const
