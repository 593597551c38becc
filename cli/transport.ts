/** What SOAKP answered. */
export interface RawAnswer {
  readonly status: number
  readonly text: string
}

/** A way to SOAKP as its admin. */
export interface Transport {
  /** Where a running server listens; undefined when there is none. */
  readonly address: string | undefined
  /** Sends a request to a management route and returns the answer, whatever its status is. */
  send(method: string, path: string, body?: unknown, headers?: Readonly<Record<string, string>>): Promise<RawAnswer>
  /** Must be called once; calls that still run fail. */
  close(): Promise<void>
}
