/** Looks for secrets in bytes that come piece by piece. */
export interface Search {
  readonly push: (bytes: Buffer) => void
  readonly hasFound: () => boolean
}

/** Creates a search for secrets as they are. */
export function createSearch(secrets: readonly Buffer[]): Search {
  const longest = Math.max(...secrets.map((secret) => secret.length))
  let end = Buffer.alloc(0)
  let hasFound = false
  return {
    push(bytes) {
      const text = Buffer.concat([end, bytes])
      hasFound ||= secrets.some((secret) => text.includes(secret))
      end = Buffer.from(text.subarray(Math.max(0, text.length - longest + 1)))
    },
    hasFound: () => hasFound,
  }
}
